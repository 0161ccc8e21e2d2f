//go:build linux

package shmconn_test

import (
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// TestMismatch: a side that has a stream, and one that has records, find out with the first bytes, whoever sends them.
// What has come isn't handed to anybody, and both are told what it was.
func TestMismatch(t *testing.T) {
	for _, sender := range []struct {
		name          string
		send          func(s *connection.Stream, c *shmconn.RecordConn) error
		ofStream      bool
		told, refused string
	}{
		{"a stream", func(s *connection.Stream, _ *shmconn.RecordConn) error {
			_, err := s.Write([]byte("some bytes"))
			return err
		}, true, "the peer sends a stream", "it takes records, not a stream"},
		{"a long stream", func(s *connection.Stream, _ *shmconn.RecordConn) error {
			_, err := s.Write(make([]byte, 3*tiny))
			return err
		}, true, "the peer sends a stream", "it takes records, not a stream"},
		{"a record", func(_ *connection.Stream, c *shmconn.RecordConn) error {
			return c.Send([]byte("a record"))
		}, false, "the peer sends records", "it takes a stream, not records"},
		{"a long record", func(_ *connection.Stream, c *shmconn.RecordConn) error {
			return c.Send(make([]byte, 2*tiny))
		}, false, "the peer sends records", "it takes a stream, not records"},
	} {
		for _, dialler := range []string{"the stream's side dials", "the records' side dials"} {
			t.Run(sender.name+", "+dialler, func(t *testing.T) {
				fdtest.Check(t)
				nothingMapped(t)
				h := newHome(t)
				path := ringPath(t)
				stream := &flow{}
				var c *shmconn.RecordConn
				records := &hooks{open: func(opened *shmconn.RecordConn) error { c = opened; return nil }}
				d := shmconn.Dialer{Path: path, Ring: shmconn.Config{Capacity: tiny}}
				h.on(func() {
					var err error
					serve := connection.Streams(stream, connection.StreamConfig{})
					if strings.HasPrefix(dialler, "the stream") {
						serve = shmconn.Records(records, shmconn.RecordConfig{})
						_, err = connection.DialStream(h.Communicator, d, stream, connection.StreamConfig{})
					}
					must(t, err)
					_, err = shmconn.Listen(h.Communicator, path, serve, shmconn.ListenConfig{Ring: d.Ring})
					must(t, err)
					if !strings.HasPrefix(dialler, "the stream") {
						_, err = shmconn.DialRecords(h.Communicator, d, records, shmconn.RecordConfig{})
					}
					must(t, err)
				})
				h.until("the connection", func() bool { return c != nil && stream.stream != nil })
				h.settle()
				h.on(func() {
					if stream.ended+records.ended > 0 {
						t.Errorf("ended before anything was sent: %v, %v", stream.cause, records.cause)
					}
					must(t, sender.send(stream.stream, c))
				})
				h.until("the end", func() bool { return stream.ended == 1 && records.ended == 1 })
				h.on(func() {
					receiver, other := stream.cause, records.cause
					if sender.ofStream {
						receiver, other = other, receiver
					}
					isOp(t, "who receives", receiver, "read", shmconn.ErrMismatch)
					if !strings.HasSuffix(receiver.Error(), shmconn.ErrMismatch.Error()+": "+sender.told) {
						t.Errorf("who receives: %v", receiver)
					}
					isRefused(t, other, sender.refused)
					if len(stream.got)+len(records.got) > 0 {
						t.Errorf("handed over: %q, %q", stream.got, records.got)
					}
				})
			})
		}
	}
}

// TestMismatchLater: what is as it should be comes before.
func TestMismatchLater(t *testing.T) {
	server := &hooks{}
	loop, _ := runs(t)
	p := greetsRaw(t, listens(t, loop, server, shmconn.ListenConfig{}))
	p.record(t, []byte("a record"))
	if n, err := p.out.Write([]byte("bytes")); n != 5 || err != nil {
		t.Fatalf("Write: %d, %v", n, err)
	}
	p.publish(t)
	h := &home{Communicator: loop, t: t}
	h.until("the end", func() bool { return server.ended == 1 })
	h.on(func() {
		expectRecords(t, server.got, "a record")
		isOp(t, "HandleClose", server.cause, "read", shmconn.ErrMismatch)
	})
}
