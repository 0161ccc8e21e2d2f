//go:build linux

package communicator_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// tcpPair makes two connected TCP sockets.
func tcpPair(t testing.TB) (a, b *file) {
	t.Helper()
	socket := func() *file {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return newFile(t, fd)
	}
	listener, a := socket(), socket()
	if err := unix.Bind(listener.fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(listener.fd, 1); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(listener.fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(a.fd, addr); err != nil {
		t.Fatal(err)
	}
	fd, _, err := unix.Accept4(listener.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(a.fd, true); err != nil {
		t.Fatal(err)
	}
	return a, newFile(t, fd)
}

// receive reads what there is, with flags; what fails reads nothing.
func receive(fd, flags int) string {
	var buf [64]byte
	n, _, _ := unix.Recvfrom(fd, buf[:], flags)
	return string(buf[:max(0, n)])
}

func send(t testing.TB, f *file, text string, flags int) {
	t.Helper()
	if err := unix.Sendto(f.fd, []byte(text), flags, nil); err != nil {
		t.Error(err)
	}
}

// TestExceptional: out-of-band data call HandleRead, and ordinary data don't while only the former are wanted.
func TestExceptional(t *testing.T) {
	for _, priority := range []int{0, -1} {
		loop := newLoop(t, communicator.Config{})
		a, b := tcpPair(t)
		urgent := make(chan string, 1)
		p := &probe{t: t, file: a, read: func(*communicator.Handle) error {
			urgent <- receive(a.fd, unix.MSG_OOB)
			return nil
		}}
		h := add(t, loop, p, communicator.Options{Priority: priority, Want: communicator.Exceptional})
		if h.Interest() != communicator.Exceptional || h.Interest().String() != "exceptional" {
			t.Errorf("interest %v", h.Interest())
		}
		start(t, loop)
		send(t, b, "ordinary", 0)
		quiet(t, loop, silence/2)
		send(t, b, "!", unix.MSG_OOB)
		if got := await(t, urgent, "what is out of band"); got != "!" {
			t.Errorf("out of band: %q", got)
		}
		quiet(t, loop, silence/2)
		do(t, loop, func() {
			if p.reads != 1 {
				t.Errorf("%d reads", p.reads)
			}
			h.Want(communicator.Read | communicator.Exceptional)
			p.read = func(*communicator.Handle) error {
				urgent <- receive(a.fd, 0)
				return nil
			}
		})
		if got := await(t, urgent, "ordinary data"); got != "ordinary" {
			t.Errorf("ordinary data: %q", got)
		}
	}
}

// TestExceptionalNotWanted: who wants to read only isn't called for what is out of band.
func TestExceptionalNotWanted(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	a, b := tcpPair(t)
	h := add(t, loop, &probe{t: t, file: a}, communicator.Options{Want: communicator.Write})
	h.Want(communicator.Nothing)
	add(t, loop, &probe{t: t}, communicator.Options{})
	start(t, loop)
	send(t, b, "!", unix.MSG_OOB)
	quiet(t, loop, silence/2)
}

// TestExceptionalAndRead: both at once are one call.
func TestExceptionalAndRead(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	a, b := tcpPair(t)
	send(t, b, "ordinary", 0)
	send(t, b, "!", unix.MSG_OOB)
	p := &probe{t: t, file: a}
	p.read = func(h *communicator.Handle) error {
		if out := receive(a.fd, unix.MSG_OOB); out == "!" {
			if text := receive(a.fd, 0); text != "ordinary" {
				t.Errorf("ordinary data: %q", text)
			}
			h.Remove(nil)
		}
		return nil
	}
	add(t, loop, p, communicator.Options{Want: communicator.Read | communicator.Exceptional})
	run(t, loop)
}

// TestExceptionalWithoutHandler: a source without HandleRead is not watched for it.
func TestExceptionalWithoutHandler(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	a, b := tcpPair(t)
	h := add(t, loop, &sleeper{a}, communicator.Options{Want: communicator.Exceptional})
	if h.Interest() != communicator.Nothing {
		t.Errorf("interest %v", h.Interest())
	}
	send(t, b, "!", unix.MSG_OOB)
	start(t, loop)
	quiet(t, loop, silence/2)
}
