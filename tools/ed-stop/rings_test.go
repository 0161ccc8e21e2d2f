//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// serveRing is newPeer for rings, at a path or an abstract name: it gives take each line, and says READY before.
func serveRing(p *peer, path string, take func(text string)) error {
	loop, err := communicator.New(communicator.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	lines := connection.Streams(greeter(take), connection.StreamConfig{})
	if _, err := shmconn.Listen(loop, path, lines, shmconn.ListenConfig{}); err != nil {
		return errors.Join(err, loop.Close())
	}
	done := make(chan struct{})
	p.address = path
	p.close = func() {
		loop.Stop(nil)
		<-done
	}
	go func() {
		defer close(done)
		_ = loop.Run(context.Background())
	}()
	return nil
}

type greeter func(text string)

func (greeter) HandleOpen(s *connection.Stream) error {
	_, err := s.Write([]byte("READY\n"))
	return err
}

func (take greeter) HandleData(_ *connection.Stream, data []byte) (consumed int, err error) {
	end := bytes.IndexByte(data, '\n') + 1
	if end > 0 {
		take(string(data[:end]))
	}
	return end, nil
}
