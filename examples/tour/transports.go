//go:build linux

package main

import (
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

func (t *tour) tcp(service message.Handler) error {
	listener, err := tcp.Listen(t.loop, "127.0.0.1:0", connection.Messages(service, connection.MessageConfig{}), tcp.ListenConfig{})
	if err != nil {
		return err
	}
	conn, err := t.pinger("TCP").over(tcp.Dialer{Address: listener.Addr().String()})
	t.stop = func() error { return conn.Send(message.New(message.CommandStop)) }
	return err
}

func (t *tour) tls(service message.Handler) error {
	server, client, err := certificate()
	if err != nil {
		return err
	}
	serve := connection.Messages(service, connection.MessageConfig{})
	listener, err := tcp.Listen(t.loop, "127.0.0.1:0", serve, tcp.ListenConfig{TLS: server})
	if err != nil {
		return err
	}
	_, err = t.pinger("TLS").over(tcp.Dialer{Address: listener.Addr().String(), TLS: client})
	return err
}

func (t *tour) udp(service message.Handler) error {
	socket, err := udp.Listen(t.loop, "127.0.0.1:0", connection.NewMessageDatagrams(service, connection.MessageDatagramConfig{}), udp.ListenConfig{})
	if err != nil {
		return err
	}
	p := t.pinger("UDP")
	layer := connection.NewMessageDatagrams(p, connection.MessageDatagramConfig{})
	client, err := udp.Listen(t.loop, "127.0.0.1:0", layer, udp.ListenConfig{})
	if err != nil {
		return err
	}
	return p.ping(layer.SenderTo(client, connection.PeerFromAddr(socket.Addr())))
}

func (t *tour) unix(service message.Handler) error {
	path := t.path("messages")
	_, err := unixsock.Listen(t.loop, path, connection.Messages(service, connection.MessageConfig{}), unixsock.ListenConfig{})
	if err != nil {
		return err
	}
	_, err = t.pinger("a Unix socket").over(unixsock.Dialer{Path: path})
	return err
}

func (t *tour) unixDatagrams(service message.Handler) error {
	path := t.path("datagrams")
	layer := connection.NewMessageDatagrams(service, connection.MessageDatagramConfig{})
	if _, err := unixsock.ListenDatagram(t.loop, path, layer, unixsock.DatagramListenConfig{}); err != nil {
		return err
	}
	p := t.pinger("Unix datagrams")
	back := connection.NewMessageDatagrams(p, connection.MessageDatagramConfig{})
	client, err := unixsock.OpenDatagram(t.loop, back, connection.DatagramConfig{})
	if err != nil {
		return err
	}
	return p.ping(back.SenderTo(client, connection.PeerFromPath(path)))
}

func (t *tour) unixPackets(service message.Handler) error {
	path := t.path("packets")
	layer := connection.NewMessageDatagrams(service, connection.MessageDatagramConfig{})
	if _, err := unixsock.ListenPackets(t.loop, path, layer, unixsock.PacketListenConfig{}); err != nil {
		return err
	}
	p := t.pinger("Unix packets")
	back := connection.NewMessageDatagrams(p, connection.MessageDatagramConfig{})
	client, err := unixsock.DialPackets(t.loop, path, back, connection.DatagramConfig{})
	if err != nil {
		return err
	}
	return p.ping(back.SenderTo(client, client.Remote()))
}

func (t *tour) fifos(service message.Handler) error {
	commands, answers := t.path("commands"), t.path("answers")
	serve := connection.Messages(service, connection.MessageConfig{})
	if _, err := fifo.Listen(t.loop, commands, serve, fifo.ListenConfig{Reply: answers}); err != nil {
		return err
	}
	_, err := t.pinger("FIFOs").over(fifo.Dialer{Write: commands, Read: answers})
	return err
}

func (t *tour) pipes(service message.Handler) error {
	here, there, err := fifo.Pair()
	if err != nil {
		return err
	}
	return t.pinger("pipes").between(service, here, there)
}

// socketPair has a socket on one side, and on the other what a child process would find: a file.
func (t *tour) socketPair(service message.Handler) error {
	here, file, err := fifo.SocketPair()
	if err != nil {
		return err
	}
	there, err := fifo.FromFile(file, file)
	if err != nil {
		return err
	}
	return t.pinger("a socket pair").between(service, here, there)
}

func (t *tour) ring(service message.Handler) error {
	path := t.path("ring")
	_, err := shmconn.Listen(t.loop, path, connection.Messages(service, connection.MessageConfig{}), shmconn.ListenConfig{})
	if err != nil {
		return err
	}
	_, err = t.pinger("shared memory").over(shmconn.Dialer{Path: path})
	return err
}

// records sends records through shared memory and back, each when the one before has come back.
func (t *tour) records(message.Handler) error {
	path := t.path("records")
	echo := shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error { return c.Send(record) })
	_, err := shmconn.Listen(t.loop, path, shmconn.Records(echo, shmconn.RecordConfig{}), shmconn.ListenConfig{})
	if err != nil {
		return err
	}
	c := &recordClient{tour: t, row: t.row("record through shared memory and back", 500)}
	_, err = shmconn.DialRecords(t.loop, shmconn.Dialer{Path: path}, c, shmconn.RecordConfig{})
	return err
}

type recordClient struct {
	tour *tour
	row  *row
	sent time.Time
}

func (r *recordClient) HandleOpen(c *shmconn.RecordConn) error {
	r.sent = time.Now()
	return c.Send([]byte("hello"))
}

func (r *recordClient) HandleRecords(c *shmconn.RecordConn) error {
	for _, ok := c.Next(); ok; _, ok = c.Next() {
		r.tour.saw(r.row, time.Since(r.sent))
	}
	c.Release()
	if r.row.done() {
		c.Close()
		return nil
	}
	return r.HandleOpen(c)
}
