//go:build linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// serveRings serves rings as serveStreams serves streams: without TLS, and with a reset that leaves everything unread.
func (p *peer) serveRings(path string, b behaviour) error {
	loop, err := communicator.New(communicator.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	serve := func(loop connection.Loop, t connection.Transport) error {
		_, err := connection.NewStream(loop, t, &ringPeer{peer: p, behaviour: b}, connection.StreamConfig{})
		return err
	}
	switch {
	case b.reset:
		serve = shmconn.Records(leaver{}, shmconn.RecordConfig{})
	case b.records:
		serve = shmconn.Records(recorder(b), shmconn.RecordConfig{})
	}
	if _, err := shmconn.Listen(loop, path, serve, shmconn.ListenConfig{}); err != nil {
		return errors.Join(err, loop.Close())
	}
	p.address = path
	var wait sync.WaitGroup
	wait.Go(func() { _ = loop.Run(context.Background()) })
	p.close = sync.OnceFunc(func() {
		loop.Stop(nil)
		wait.Wait()
	})
	return nil
}

// ringPeer is one connection of a peer.
type ringPeer struct {
	*peer
	behaviour
	text string
}

func (r *ringPeer) HandleOpen(s *connection.Stream) error {
	if r.greet {
		r.answer(s)
	}
	if r.deaf {
		s.Pause()
	}
	return nil
}

func (r *ringPeer) HandleData(s *connection.Stream, data []byte) (consumed int, err error) {
	before := strings.Contains(r.text, "\n")
	r.text += string(data)
	if !before && strings.Contains(r.text, "\n") && !r.greet {
		r.answer(s)
	}
	return len(data), nil
}

func (r *ringPeer) answer(s *connection.Stream) {
	for _, text := range r.replies {
		_, _ = s.Write([]byte(text))
	}
	if !r.hold {
		s.CloseWrite()
	}
}

func (r *ringPeer) HandleEOF(s *connection.Stream, _ []byte) error {
	r.received <- r.text
	s.Close()
	return nil
}

// leaver closes a connection when something has come, without reading it.
type leaver struct{}

var errLeave = errors.New("nothing of this is read")

func (leaver) HandleRecords(*shmconn.RecordConn) error { return errLeave }

// recorder takes records.
type recorder behaviour

func (r recorder) HandleOpen(c *shmconn.RecordConn) error {
	if !r.greet {
		return nil
	}
	for _, text := range r.replies {
		if err := c.Send([]byte(text)); err != nil {
			return err
		}
	}
	return nil
}

func (r recorder) HandleRecords(c *shmconn.RecordConn) error {
	if r.greet {
		c.Pause() // the other side is to find it out
		return nil
	}
	return shmconn.RecordFunc(func(*shmconn.RecordConn, []byte) error { return nil }).HandleRecords(c)
}
