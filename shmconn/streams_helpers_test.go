//go:build linux

package shmconn_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// flow is a handler of a stream. Without data it keeps what comes.
type flow struct {
	open func(s *connection.Stream)
	data func(s *connection.Stream, data []byte) (int, error)

	stream *connection.Stream // when it stands
	got    []byte
	ended  int
	cause  error
}

func (f *flow) HandleOpen(s *connection.Stream) error {
	f.stream = s
	if f.open != nil {
		f.open(s)
	}
	return nil
}

func (f *flow) HandleData(s *connection.Stream, data []byte) (int, error) {
	if f.data != nil {
		return f.data(s, data)
	}
	f.got = append(f.got, data...)
	return len(data), nil
}

func (f *flow) HandleClose(_ *connection.Stream, cause error) {
	f.ended++
	f.cause = cause
}

// current connects two streams in one loop.
func current(t testing.TB, capacity int, server, client *flow, config connection.StreamConfig) *home {
	t.Helper()
	nothingMapped(t)
	h := newHome(t)
	path := ringPath(t)
	ring := shmconn.Config{Capacity: capacity}
	h.on(func() {
		_, err := shmconn.Listen(h.Communicator, path, connection.Streams(server, config), shmconn.ListenConfig{Ring: ring})
		must(t, err)
		_, err = connection.DialStream(h.Communicator, shmconn.Dialer{Path: path, Ring: ring}, client, config)
		must(t, err)
	})
	h.until("the connection", func() bool { return server.stream != nil && client.stream != nil })
	return h
}

// dies lets a stream look to its peer as if its process had died. It hears nothing of that.
func dies(t testing.TB, s *connection.Stream) {
	t.Helper()
	s.Handle().SetEnabled(false)
	must(t, unix.Shutdown(s.Transport().(*shmconn.Transport).Socket().FD(), unix.SHUT_RDWR))
}
