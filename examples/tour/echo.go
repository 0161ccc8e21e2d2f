//go:build linux

package main

import (
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

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
