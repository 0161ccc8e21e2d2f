//go:build linux

package shmconn_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

func allFaults() []fault {
	return append(append(packetFaults(), descriptorFaults()...), memoryFaults()...)
}

// check holds that an error is that of the fault, and says where it was.
func (f *fault) check(t *testing.T, err error, op, path string) {
	t.Helper()
	var opError *net.OpError
	if !errors.As(err, &opError) || f.want != nil && !errors.Is(err, f.want) || f.also != nil && !f.also(err) {
		t.Fatalf("the error is %v (%T), want a *net.OpError with %v", err, err, f.want)
	}
	if opError.Op != op || opError.Net != "shm" || opError.Addr == nil || opError.Addr.String() != path {
		t.Errorf("the error doesn't tell where it was: %v", err)
	}
}

// listens listens for records on a loop of its own, and returns its path.
func listens(t *testing.T, loop *communicator.Communicator, h shmconn.RecordHandler, config shmconn.ListenConfig) (path string) {
	t.Helper()
	path = ringPath(t)
	looptest.Do(t, loop, func() {
		_, err := shmconn.Listen(loop, path, shmconn.Records(h, shmconn.RecordConfig{}), config)
		must(t, err)
	})
	return path
}

// expectService holds that a listener serves who greets it properly: it echoes records.
func expectService(t *testing.T, path string) {
	t.Helper()
	peer, err := connect(path, shmconn.MinCapacity)
	if err != nil {
		t.Fatal(err)
	}
	peer.kind = ring.KindData
	must(t, peer.SetDeadline(time.Now().Add(looptest.Patience)))
	b := make([]byte, 5)
	if _, err := peer.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	if n, err := peer.Read(b); err != nil || string(b[:n]) != "hello" {
		t.Errorf("the echo is %q, %v", b[:n], err)
	}
	must(t, peer.Close())
}

// TestFaultyClients: whoever doesn't greet as he has to is told why, and the others are served.
func TestFaultyClients(t *testing.T) {
	for _, f := range allFaults() {
		t.Run(f.name, func(t *testing.T) {
			fdtest.Check(t)
			nothingMapped(t)
			loop, logged := runs(t)
			path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{})
			g := proper(t, faultCapacity)
			f.spoil(t, g)
			fd := rawDial(t, path)
			g.send(t, fd)
			f.check(t, looptest.Await(t, logged, "the failure in the log"), "accept", path)
			expectRefusal(t, fd, f.reason)
			expectService(t, path)
		})
	}
}

// dials dials a path; how that ends is sent.
func dials(t *testing.T, loop *communicator.Communicator, d shmconn.Dialer) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	looptest.Do(t, loop, func() {
		_, err := d.Dial(loop, func(transport connection.Transport, err error) {
			if transport != nil {
				err = errors.Join(err, transport.Close())
			}
			done <- err
		})
		must(t, err)
	})
	return done
}

// TestFaultyListeners is the same for who dials.
func TestFaultyListeners(t *testing.T) {
	for _, f := range allFaults() {
		t.Run(f.name, func(t *testing.T) {
			fdtest.Check(t)
			nothingMapped(t)
			loop, _ := runs(t)
			path := ringPath(t)
			listener := rawListen(t, path, 1)
			t.Cleanup(func() { _ = sys.Close(listener) })
			done := dials(t, loop, shmconn.Dialer{Path: path})
			fd := rawAccept(t, listener)
			hears(t, fd)
			g := proper(t, faultCapacity)
			f.spoil(t, g)
			g.send(t, fd)
			f.check(t, looptest.Await(t, done, "the end of the dialling"), "dial", path)
			expectRefusal(t, fd, f.reason)
		})
	}
}

// TestFaultless: the greetings of those tests would be taken if nothing was wrong with them.
func TestFaultless(t *testing.T) {
	loop, _ := runs(t)
	path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{})
	g, fd := proper(t, faultCapacity), rawDial(t, path)
	g.send(t, fd)
	hears(t, fd)

	path = ringPath(t)
	listener := rawListen(t, path, 1)
	t.Cleanup(func() { _ = sys.Close(listener) })
	done := dials(t, loop, shmconn.Dialer{Path: path})
	fd = rawAccept(t, listener)
	hears(t, fd)
	proper(t, faultCapacity).send(t, fd)
	if err := looptest.Await(t, done, "the end of the dialling"); err != nil {
		t.Error(err)
	}
}

// TestRefusalReaches: what one side has against the other is what the other fails with.
func TestRefusalReaches(t *testing.T) {
	loop, logged := runs(t)
	path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{Ring: shmconn.Config{MaxCapacity: tiny}})
	var refused *shmconn.RefusedError
	err := looptest.Await(t, dials(t, loop, shmconn.Dialer{Path: path, Ring: shmconn.Config{Capacity: 2 * tiny}}), "the end of the dialling")
	if !errors.As(err, &refused) || refused.Reason != wire.BadCapacity.String()+": 4096 bytes at most" {
		t.Errorf("the dialler's error is %v", err)
	}
	if err := looptest.Await(t, logged, "the failure in the log"); !errors.Is(err, shmconn.ErrCapacity) {
		t.Errorf("the listener's error is %v", err)
	}

	path = listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{Ring: shmconn.Config{Capacity: 4 * tiny}})
	err = looptest.Await(t, dials(t, loop, shmconn.Dialer{Path: path, Ring: shmconn.Config{MaxCapacity: tiny - 1}}), "the end of the dialling")
	if !errors.Is(err, shmconn.ErrCapacity) { // it maps no ring at all
		t.Errorf("the dialler's error is %v", err)
	}
	// The listener has a connection already, which ends with that.
	err = looptest.Await(t, logged, "the failure in the log")
	if !errors.As(err, &refused) || refused.Reason != wire.BadCapacity.String()+": 4095 bytes at most" {
		t.Errorf("the listener's error is %v", err)
	}
}

// TestClampedToPeer: a listener's ring is no larger than what the dialler maps, a dialler's is as it was asked for.
func TestClampedToPeer(t *testing.T) {
	for _, tt := range []struct{ listener, maps, want int }{
		{8 * tiny, 8 * tiny, 8 * tiny},
		{8 * tiny, 4 * tiny, 4 * tiny},
		{8 * tiny, 4*tiny - 1, 2 * tiny},
		{8 * tiny, tiny, tiny},
		{tiny, 0, tiny},
	} {
		var server, client hooks
		d := join(t, &server, &client, terms{
			server: shmconn.Config{Capacity: tt.listener}, client: shmconn.Config{Capacity: 2 * tiny, MaxCapacity: tt.maps},
		})
		d.on(func() {
			if out, in := d.server.Transport().Capacity(); out != tt.want || in != 2*tiny {
				t.Errorf("%+v: the listener's side has %d bytes out and %d in", tt, out, in)
			}
			if out, in := d.client.Transport().Capacity(); out != 2*tiny || in != tt.want {
				t.Errorf("%+v: the dialler's side has %d bytes out and %d in", tt, out, in)
			}
			fill(t, d.server, 100) // it is as large as it says
		})
		d.settle()
		d.on(func() {
			if n := len(client.got); n < tt.want*9/10/112 {
				t.Errorf("%+v: %d records have come", tt, n)
			}
		})
	}
}

// TestForeignClients: programs that take the socket for another.
func TestForeignClients(t *testing.T) {
	loop, logged := runs(t)
	path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{})
	if conn, err := net.Dial("unix", path); !errors.Is(err, unix.EPROTOTYPE) {
		t.Errorf("a stream socket: %v, %v", conn, err)
	}
	conn, err := net.Dial("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, conn.Close()) }()
	if _, err := conn.Write([]byte("VERSION\n")); err != nil {
		t.Error(err)
	}
	if err := looptest.Await(t, logged, "the failure in the log"); !errors.Is(err, shmconn.ErrForeign) {
		t.Errorf("the error is %v", err)
	}
	expectService(t, path)
}

// TestForeignListeners: a socket of another kind, and one of another protocol.
func TestForeignListeners(t *testing.T) {
	loop, _ := runs(t)
	path := ringPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, l.Close()) }()
	if err := looptest.Await(t, dials(t, loop, shmconn.Dialer{Path: path}), "the end of the dialling"); !errors.Is(err, unix.EPROTOTYPE) {
		t.Errorf("the error is %v", err)
	}
}

// TestSilentClients: who says nothing is given up when the time is over, and nobody waits for him.
func TestSilentClients(t *testing.T) {
	loop, logged := runs(t)
	path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{Timeout: quick})
	start := time.Now()
	fd := rawDial(t, path)
	expectService(t, path)
	err := looptest.Await(t, logged, "the failure in the log")
	var netError net.Error
	if !errors.Is(err, shmconn.ErrHandshakeTimeout) || !errors.As(err, &netError) || !netError.Timeout() {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(start); took < quick {
		t.Errorf("given up after %v", took)
	}
	expectRefusal(t, fd, 0)
	expectService(t, path)
}

// TestSilentListeners is the same for who dials. Its error is that of a dial, too.
func TestSilentListeners(t *testing.T) {
	loop, _ := runs(t)
	d := mute(t, quick).(shmconn.Dialer)
	start := time.Now()
	err := looptest.Await(t, dials(t, loop, d), "the end of the dialling")
	if !errors.Is(err, shmconn.ErrHandshakeTimeout) || !errors.Is(err, connection.ErrDialTimeout) {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(start); took < quick {
		t.Errorf("given up after %v", took)
	}
}

// TestGoneBeforeGreeting: a peer that goes away without a word.
func TestGoneBeforeGreeting(t *testing.T) {
	fdtest.Check(t)
	loop, logged := runs(t)
	path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{})
	must(t, unix.Shutdown(rawDial(t, path), unix.SHUT_RDWR))
	err := looptest.Await(t, logged, "the failure in the log")
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the error is %v", err)
	}
	expectService(t, path)
}
