//go:build linux

package communicator_test

import (
	"bytes"
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// pipe makes a pipe.
func pipe(t testing.TB) (r, w *file) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	return newFile(t, fds[0]), newFile(t, fds[1])
}

// hungUp are descriptors whose other side has gone, and what they are watched for.
var hungUp = map[string]struct {
	file func(t testing.TB) *file
	want communicator.Interest
}{
	"read end of a pipe":  {func(t testing.TB) *file { r, w := pipe(t); w.shut(t); return r }, communicator.Read},
	"write end of a pipe": {func(t testing.TB) *file { r, w := pipe(t); r.shut(t); return w }, communicator.Write},
	"socket":              {func(t testing.TB) *file { a, b := socketpair(t); b.shut(t); return a }, communicator.Read},
	"exceptional":         {func(t testing.TB) *file { a, b := socketpair(t); b.shut(t); return a }, communicator.Exceptional},
}

// TestSpinning: a source that never minds the end of its other side is removed, and the others go on.
func TestSpinning(t *testing.T) {
	for name, test := range hungUp {
		for _, priority := range []int{0, -1} {
			t.Run(name, func(t *testing.T) {
				loop := newLoop(t, communicator.Config{})
				rounds := 0
				neighbour := &probe{t: t, name: "neighbour", file: signalled(t), read: func(*communicator.Handle) error { rounds++; return nil }}
				other := add(t, loop, neighbour, communicator.Options{Priority: priority})
				p := &probe{t: t, name: "deaf", file: test.file(t), read: ignore, write: ignore}
				p.closed = func(_ *communicator.Handle, cause error) {
					if !errors.Is(cause, communicator.ErrSpinning) {
						t.Errorf("closed with %v", cause)
					}
					before := rounds
					neighbour.read = func(*communicator.Handle) error {
						if rounds++; rounds == before+100 {
							other.Remove(nil)
						}
						return nil
					}
				}
				add(t, loop, p, communicator.Options{Priority: priority, Want: test.want})
				run(t, loop)
				if n := p.reads + p.writes; n != communicator.MaxFailing || p.closes != 1 {
					t.Errorf("%d callbacks, closed %d times", n, p.closes)
				}
				if rounds < 1000 {
					t.Errorf("the neighbour was called %d times only", rounds)
				}
			})
		}
	}
}

// TestSlowReaderIsNotSpinning: a source that has its data to read to their end is let do so, though the other side
// has gone long ago; even one that needs more callbacks than a source that minds nothing would get.
func TestSlowReaderIsNotSpinning(t *testing.T) {
	for _, test := range []struct{ size, piece int }{{60 << 10, 8}, {20 << 10, 1}} {
		loop := newLoop(t, communicator.Config{})
		r, w := pipe(t)
		sent := bytes.Repeat([]byte("0123456789abcdef"), test.size/16)
		if n, err := unix.Write(w.fd, sent); n != len(sent) || err != nil {
			t.Fatal(n, err)
		}
		w.shut(t)
		var got []byte
		p := &probe{t: t, file: r}
		p.read = func(h *communicator.Handle) error {
			buf := make([]byte, test.piece)
			n, err := unix.Read(r.fd, buf)
			if n == 0 {
				h.Remove(nil)
			}
			got = append(got, buf[:max(0, n)]...)
			return err
		}
		add(t, loop, p, communicator.Options{})
		run(t, loop)
		if !bytes.Equal(got, sent) || p.cause != nil {
			t.Errorf("%d of %d bytes in %d reads; closed with %v", len(got), len(sent), p.reads, p.cause)
		}
	}
}

// TestSpinningInARow: one callback for something else, and it is counted from the beginning.
func TestSpinningInARow(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	dead, live := hungUp["socket"].file(t), signalled(t)
	p := &probe{t: t, name: "deaf", file: dead}
	rebind := func(h *communicator.Handle, to *file) {
		p.file = to
		if err := h.Rebind(); err != nil {
			t.Error(err)
		}
	}
	p.read = func(h *communicator.Handle) error {
		switch p.reads {
		case communicator.MaxFailing - 1:
			rebind(h, live)
		case communicator.MaxFailing:
			rebind(h, dead)
		}
		return nil
	}
	add(t, loop, p, communicator.Options{})
	run(t, loop)
	if want := 2 * communicator.MaxFailing; p.reads != want || !errors.Is(p.cause, communicator.ErrSpinning) {
		t.Errorf("%d reads, want %d; closed with %v", p.reads, want, p.cause)
	}
}

// TestSpinningOwnEnd: a source that removes itself with its last callback has its own cause.
func TestSpinningOwnEnd(t *testing.T) {
	for name, end := range map[string]func(h *communicator.Handle) error{
		"removed": func(h *communicator.Handle) error { h.Remove(errTest); return nil },
		"failed":  func(*communicator.Handle) error { return errTest },
	} {
		loop := newLoop(t, communicator.Config{})
		p := &probe{t: t, name: name, file: hungUp["socket"].file(t)}
		p.read = func(h *communicator.Handle) error {
			if p.reads == communicator.MaxFailing {
				return end(h)
			}
			return nil
		}
		add(t, loop, p, communicator.Options{})
		run(t, loop)
		if !errors.Is(p.cause, errTest) || p.closes != 1 {
			t.Errorf("%s: closed %d times, with %v", name, p.closes, p.cause)
		}
	}
}

// TestAlwaysReadableIsNotSpinning: a source that doesn't read what it is told of is busy, and nothing else.
func TestAlwaysReadableIsNotSpinning(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, file: signalled(t)}
	p.read = func(h *communicator.Handle) error {
		if p.reads > communicator.MaxFailing+10 {
			h.Remove(nil)
		}
		return nil
	}
	add(t, loop, p, communicator.Options{})
	run(t, loop)
	if p.cause != nil {
		t.Errorf("closed with %v", p.cause)
	}
}

// TestMindedErrorsAreNotSpinning: who reads each error off its descriptor is not removed, however many they are: here a
// connected UDP socket nobody listens to at the other end.
func TestMindedErrorsAreNotSpinning(t *testing.T) {
	dead, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	port := dead.LocalAddr().(*net.UDPAddr).Port
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, file: newFile(t, fd)}
	minded := 0
	send := func() { _, _ = unix.Write(fd, []byte("x")) } // the error of the one before comes with it, or with Read
	p.read = func(h *communicator.Handle) error {
		var buf [8]byte
		if _, err := unix.Read(fd, buf[:]); err != nil {
			minded++
		}
		if minded > communicator.MaxFailing*3/2 {
			h.Remove(nil)
			return nil
		}
		loop.AfterTurn(send)
		return nil
	}
	add(t, loop, p, communicator.Options{})
	send()
	run(t, loop)
	if p.cause != nil {
		t.Errorf("removed with %v after %d errors that it minded", p.cause, minded)
	}
}
