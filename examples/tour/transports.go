//go:build linux

package main

import (
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/message"
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
