//go:build linux

package shmconn_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

var errOfTest = errors.New("an error of the test")

// tiny is the smallest ring, and longest the longest record that has room in it: longer ones have memory of their own.
const (
	tiny    = shmconn.MinCapacity
	longest = tiny/4 - 8
)

// hooks is a handler that can handle all but the end of the peer's side, by functions of the test. Without records it
// keeps a copy of what comes.
type hooks struct {
	records    func(c *shmconn.RecordConn) error
	open, room func(c *shmconn.RecordConn) error
	closed     func(c *shmconn.RecordConn, cause error)

	got                 []string
	opens, rooms, ended int
	cause               error
}

func (h *hooks) HandleRecords(c *shmconn.RecordConn) error {
	if h.records != nil {
		return h.records(c)
	}
	return shmconn.RecordFunc(h.keep).HandleRecords(c)
}

func (h *hooks) keep(_ *shmconn.RecordConn, record []byte) error {
	h.got = append(h.got, string(record))
	return nil
}

func (h *hooks) HandleOpen(c *shmconn.RecordConn) error {
	h.opens++
	return call(h.open, c)
}

func (h *hooks) HandleRoom(c *shmconn.RecordConn) error {
	h.rooms++
	return call(h.room, c)
}

func (h *hooks) HandleClose(c *shmconn.RecordConn, cause error) {
	h.ended++
	h.cause = cause
	if h.closed != nil {
		h.closed(c, cause)
	}
}

func call(f func(c *shmconn.RecordConn) error, c *shmconn.RecordConn) error {
	if f == nil {
		return nil
	}
	return f(c)
}

// lasting is hooks that hears of the end of the peer's side, and stays open.
type lasting struct {
	hooks
	eof  func(c *shmconn.RecordConn) error
	eofs int
}

func (l *lasting) HandleEOF(c *shmconn.RecordConn) error {
	l.eofs++
	return call(l.eof, c)
}

var (
	_ shmconn.RecordOpenHandler  = (*hooks)(nil)
	_ shmconn.RoomHandler        = (*hooks)(nil)
	_ shmconn.RecordCloseHandler = (*hooks)(nil)
	_ shmconn.RecordEOFHandler   = (*lasting)(nil)
	_ shmconn.RecordHandler      = shmconn.RecordFunc(nil)
)

// home is a loop that runs on a goroutine of its own until the end of the test.
type home struct {
	*communicator.Communicator
	t    testing.TB
	log  *looptest.Log
	stop func() // and waits for the end
}

func newHome(t testing.TB) *home {
	t.Helper()
	loop, log := looptest.New(t)
	done := make(chan error, 1)
	release, err := loop.Hold()
	if err != nil {
		t.Fatal(err)
	}
	h := &home{Communicator: loop, t: t, log: log}
	go func() { done <- loop.Run(context.Background()) }()
	h.stop = func() {
		loop.Stop(nil)
		if err := looptest.Await(t, done, "the end of the loop"); err != nil {
			t.Errorf("Run: %v", err)
		}
		h.stop = func() {}
	}
	t.Cleanup(func() { h.stop(); release() })
	return h
}

// on runs f on the loop.
func (h *home) on(f func()) {
	h.t.Helper()
	looptest.Do(h.t, h.Communicator, f)
}

// until lets the loop turn until a condition holds.
func (h *home) until(what string, condition func() bool) {
	h.t.Helper()
	for end := time.Now().Add(looptest.Patience); ; {
		var ok bool
		h.on(func() { ok = condition() })
		if ok {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// settle lets the loop turn until what happens within it has happened: bells are heard in the turn after.
func (h *home) settle() {
	h.t.Helper()
	for range 20 {
		h.on(func() {})
	}
}

// duo is a connection and its two ends.
type duo struct {
	*home          // of the client
	there    *home // of the server; the same in most tests
	path     string
	server   *shmconn.RecordConn
	client   *shmconn.RecordConn
	listener *connection.Listener
	before   [2]int // areas
}

// terms are the terms of a connection. The zero value is the smallest ring each way, in one loop.
type terms struct {
	server, client             shmconn.Config
	serverRecords, clientTerms shmconn.RecordConfig
	apart                      bool // each end has a loop of its own
}

func small(c shmconn.Config) shmconn.Config {
	if c.Capacity == 0 {
		c.Capacity = tiny
	}
	return c
}

// join connects two handlers. It holds that nothing stays mapped.
func join(t testing.TB, server, client shmconn.RecordHandler, o terms) *duo {
	t.Helper()
	before := areas(t)
	t.Cleanup(func() {
		if now := areas(t); now != before {
			t.Errorf("%d rings and long records are mapped at the end, %d were before", now, before)
		}
	})
	return joinOn(t, newHome(t), server, client, o)
}

// joinOn is join on a loop that runs already.
func joinOn(t testing.TB, h *home, server, client shmconn.RecordHandler, o terms) *duo {
	t.Helper()
	d := &duo{home: h, there: h, path: ringPath(t), before: areas(t)}
	if o.apart {
		d.there = newHome(t)
	}
	serve := func(loop connection.Loop, transport connection.Transport) (err error) {
		d.server, err = shmconn.NewRecordConn(loop, transport, server, o.serverRecords)
		return err
	}
	d.there.on(func() {
		var err error
		d.listener, err = shmconn.Listen(d.there.Communicator, d.path, serve, shmconn.ListenConfig{Ring: small(o.server)})
		if err != nil {
			t.Error(err)
		}
	})
	d.on(func() {
		var err error
		d.client, err = shmconn.DialRecords(d.Communicator, shmconn.Dialer{Path: d.path, Ring: small(o.client)}, client, o.clientTerms)
		if err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	d.there.until("the connection", func() bool { return d.server != nil })
	d.until("the connection", func() bool { return d.client.Transport() != nil })
	return d
}

// kill lets the connection look to the server as if the client's process had died. The client hears nothing of it.
func (d *duo) kill() {
	d.t.Helper()
	d.on(func() {
		d.client.Handle().SetEnabled(false)
		if err := unix.Shutdown(d.client.Transport().Socket().FD(), unix.SHUT_RDWR); err != nil {
			d.t.Error(err)
		}
	})
}

// bury closes the client of kill.
func (d *duo) bury() {
	d.t.Helper()
	d.on(d.client.Close)
	d.settle()
}

// ringPath is a path for a socket, in a folder of its own.
func ringPath(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	if len(path) > 100 {
		t.Fatalf("the path of the test's folder is too long: %s", path)
	}
	return path
}

// mappings counts what is mapped with that name.
func mappings(t testing.TB, name string) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(maps, []byte("/memfd:"+name))
}

// areas counts the rings and the long records that are mapped.
func areas(t testing.TB) [2]int {
	t.Helper()
	return [2]int{mappings(t, "ring"), mappings(t, "record")}
}

// expectNoMapping holds that no more is mapped than before the connection.
func (d *duo) expectNoMapping() {
	d.t.Helper()
	if now := areas(d.t); now != d.before {
		d.t.Errorf("%d rings and long records are mapped, %d were before", now, d.before)
	}
}

// must complains of an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// expectRecords holds that these have come, and no others.
func expectRecords(t testing.TB, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records have come, want %d", len(got), len(want))
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("record %d is %.40q (%d bytes), want %.40q (%d)", i, got[i], len(got[i]), want[i], len(want[i]))
		}
	}
}

// pattern makes p the record with a number: what is in it follows from that and its length.
func pattern(p []byte, number uint64) {
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], number)
	for i := range p {
		p[i] = seed[i%8] ^ byte(i/8)
	}
}

// checkPattern tells what is wrong with a record that should be the one with a number.
func checkPattern(record []byte, number uint64, size int) error {
	if len(record) != size {
		return fmt.Errorf("record %d has %d bytes, want %d", number, len(record), size)
	}
	want := make([]byte, size)
	pattern(want, number)
	if !bytes.Equal(record, want) {
		return fmt.Errorf("record %d of %d bytes is not as it was sent", number, size)
	}
	return nil
}

// text is a record of n bytes.
func text(n int, letter string) string { return strings.Repeat(letter, n) }
