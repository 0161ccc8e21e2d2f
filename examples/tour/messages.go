//go:build linux

package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// pings is how many PINGs are sent over each transport, each when the one before was answered.
const pings = 500

// pinger sends PINGs and takes the PONGs.
type pinger struct {
	tour *tour
	row  *row
}

func (t *tour) pinger(transport string) *pinger {
	return &pinger{t, t.row("PING, PONG over "+transport, pings)}
}

func (p *pinger) ping(to message.Sender) error {
	return to.Send(message.New("PING").Set("sent", strconv.FormatInt(time.Now().UnixNano(), 10)))
}

// HandleMessage takes a PONG.
func (p *pinger) HandleMessage(from message.Sender, m *message.Message) error {
	sent, err := strconv.ParseInt(m.Get("sent"), 10, 64)
	if err != nil || m.Command() != "PONG" {
		return fmt.Errorf("this is no PONG: %v", m)
	}
	p.tour.saw(p.row, time.Since(time.Unix(0, sent)))
	if p.row.done() {
		return nil
	}
	return p.ping(from)
}

// over sends the pings over a stream transport.
func (p *pinger) over(d connection.Dialer) (*connection.MessageConn, error) {
	return connection.DialMessages(p.tour.loop, d, p, connection.MessageConfig{
		Opened: func(c *connection.MessageConn) error { return p.ping(c) },
	})
}

func (t *tour) tcp(service message.Handler) error {
	listener, err := tcp.Listen(t.loop, "127.0.0.1:0", connection.Messages(service, connection.MessageConfig{}), tcp.ListenConfig{})
	if err != nil {
		return err
	}
	conn, err := t.pinger("TCP").over(tcp.Dialer{Address: listener.Addr().String()})
	t.stop = func() error { return conn.Send(message.New(message.CommandStop)) }
	return err
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

// echo sends bytes through a Unix socket and back, in pieces of 64 KiB.
func (t *tour) echo(message.Handler) error {
	path := t.path("echo")
	echo := connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) { return s.Write(data) })
	_, err := unixsock.Listen(t.loop, path, connection.Streams(echo, connection.StreamConfig{}), unixsock.ListenConfig{})
	if err != nil {
		return err
	}
	c := &echoClient{tour: t, row: t.row("64 KiB echoed over a Unix socket", 200), piece: make([]byte, 64<<10)}
	_, err = connection.DialStream(t.loop, unixsock.Dialer{Path: path}, c, connection.StreamConfig{})
	return err
}

type echoClient struct {
	tour  *tour
	row   *row
	piece []byte
	sent  time.Time
	back  int
}

func (c *echoClient) HandleOpen(s *connection.Stream) error {
	c.sent, c.back = time.Now(), 0
	_, err := s.Write(c.piece)
	return err
}

func (c *echoClient) HandleData(s *connection.Stream, data []byte) (int, error) {
	if c.back += len(data); c.back < len(c.piece) {
		return len(data), nil
	}
	c.tour.saw(c.row, time.Since(c.sent))
	if c.row.done() {
		s.Close()
		return len(data), nil
	}
	return len(data), c.HandleOpen(s)
}
