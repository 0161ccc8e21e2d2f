//go:build linux

package communicator_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// bare has a descriptor and nothing else.
type bare struct{ fd int }

func (b *bare) FD() int { return b.fd }

// writeOnly can only write.
type writeOnly struct {
	bare
	writes int
}

func (w *writeOnly) HandleWrite(h *communicator.Handle) error {
	w.writes++
	h.Remove(nil)
	return nil
}

// incomparable is a source by value that can't be the key of a map.
type incomparable struct{ _ []string }

func (incomparable) FD() int                                  { return communicator.NoFD }
func (incomparable) HandleTimeout(*communicator.Handle) error { return nil }

// hidden is a source by value whose type can be compared, but not with what is inside.
type hidden struct{ any }

func (hidden) FD() int                                  { return communicator.NoFD }
func (hidden) HandleTimeout(*communicator.Handle) error { return nil }

// number is a source by value that can be compared.
type number int

func (number) FD() int                                    { return communicator.NoFD }
func (number) HandleTimeout(h *communicator.Handle) error { return remove(h) }

// closedFD is a number that is no descriptor and that nobody gets meanwhile.
func closedFD(t *testing.T) int {
	t.Helper()
	f := eventfd(t)
	fd, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 900)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	return fd
}

// regular opens a file that epoll doesn't take.
func regular(t *testing.T) *file {
	t.Helper()
	fd, err := unix.Open(filepath.Join(t.TempDir(), "regular"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return newFile(t, fd)
}

// TestAddRefused: what can't be added is left as it is, and can be added when it is well.
func TestAddRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		fd   func(t *testing.T) int
		want error
	}{
		{"closed", closedFD, unix.EBADF},
		{"negative", func(*testing.T) int { return -5 }, unix.EBADF},
		{"regular file", func(t *testing.T) int { return regular(t).fd }, unix.EPERM},
	} {
		for _, priority := range []int{communicator.PriorityUrgent, communicator.PriorityNormal} {
			t.Run(test.name, func(t *testing.T) {
				loop := newLoop(t, communicator.Config{})
				p := &probe{t: t, name: test.name, file: &file{test.fd(t)}, read: remove}
				o := communicator.Options{Priority: priority, Deadline: time.Now().Add(-time.Second)}
				h, err := loop.Add(p, o)
				if !errors.Is(err, test.want) || h != nil {
					t.Errorf("Add answers %v, %v", h, err)
				}
				var syscallError *os.SyscallError
				if !errors.As(err, &syscallError) {
					t.Errorf("%v is no *os.SyscallError", err)
				}
				if list := loop.Sources(); len(list) != 0 || loop.Stats().Live != 0 {
					t.Errorf("in the loop: %v, live %d", list, loop.Stats().Live)
				}
				if p.closes != 0 || p.shut {
					t.Error("a refused source was closed")
				}
				p.file = signalled(t)
				o.Deadline = time.Time{}
				add(t, loop, p, o)
				run(t, loop)
				if p.reads != 1 || p.closes != 1 {
					t.Errorf("%d reads, %d closes", p.reads, p.closes)
				}
			})
		}
	}
}

// TestAddHugeDescriptor: a number far beyond what the process can have costs no memory to refuse.
func TestAddHugeDescriptor(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := loop.Add(&probe{t: t, file: &file{1 << 20}}, communicator.Options{}); !errors.Is(err, unix.EBADF) {
		t.Errorf("Add answers %v", err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("it cost %d bytes", n)
	}
}

func TestAddTwice(t *testing.T) {
	for _, test := range []struct {
		name string
		file func(t *testing.T) *file
		o    communicator.Options
	}{
		{"descriptor", func(t *testing.T) *file { return signalled(t) }, communicator.Options{}},
		{"disabled", func(t *testing.T) *file { return signalled(t) }, communicator.Options{Disabled: true}},
		{"no descriptor", func(*testing.T) *file { return nil }, communicator.Options{}},
		{"no descriptor, disabled", func(*testing.T) *file { return nil }, communicator.Options{Disabled: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			p := &probe{t: t, file: test.file(t), read: remove}
			h := add(t, loop, p, test.o)
			if _, err := loop.Add(p, test.o); !errors.Is(err, communicator.ErrAdded) {
				t.Errorf("Add answers %v", err)
			}
			// While it waits to be closed it can't come back either: HandleClose is still due.
			h.Remove(nil)
			if _, err := loop.Add(p, test.o); !errors.Is(err, communicator.ErrAdded) {
				t.Errorf("Add after Remove answers %v", err)
			}
			run(t, loop)
			if p.closes != 1 {
				t.Errorf("%d closes", p.closes)
			}
		})
	}
}

func TestAddAnotherWithTheSameDescriptor(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	f := signalled(t)
	first := &probe{t: t, name: "first", file: f, read: remove}
	second := &probe{t: t, name: "second", file: &file{f.fd}, read: remove}
	h := add(t, loop, first, communicator.Options{})
	if _, err := loop.Add(second, communicator.Options{}); !errors.Is(err, communicator.ErrAdded) {
		t.Errorf("Add answers %v", err)
	}
	h.Detach()
	add(t, loop, second, communicator.Options{})
	run(t, loop)
	if first.reads != 0 || second.reads != 1 || first.closes != 0 || second.closes != 1 {
		t.Errorf("reads %d, %d; closes %d, %d", first.reads, second.reads, first.closes, second.closes)
	}
	f.fd = communicator.NoFD // closed by the second
}

func TestAddWhatHandlesNothing(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	for _, fd := range []int{eventfd(t).fd, communicator.NoFD} {
		if _, err := loop.Add(&bare{fd}, communicator.Options{}); !errors.Is(err, communicator.ErrNoHandler) {
			t.Errorf("Add answers %v", err)
		}
	}
}

func TestAddByValue(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("Add panics: %v", p)
		}
	}()
	for _, s := range []communicator.Source{incomparable{}, hidden{[]string{"a"}}} {
		if _, err := loop.Add(s, communicator.Options{}); !errors.Is(err, communicator.ErrNotPointer) {
			t.Errorf("Add of a %T answers %v", s, err)
		}
	}
	for i := range 3 {
		add(t, loop, number(i), communicator.Options{Deadline: time.Now()})
	}
	if _, err := loop.Add(number(1), communicator.Options{}); !errors.Is(err, communicator.ErrAdded) {
		t.Errorf("Add answers %v", err)
	}
	run(t, loop)
}

// TestWantBeyondAbility: what a source has no handler for is never watched.
func TestWantBeyondAbility(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	f := signalled(t)
	w := &writeOnly{bare: bare{f.fd}}
	h := add(t, loop, w, communicator.Options{Want: communicator.Read | communicator.Write})
	if got := h.Interest(); got != communicator.Write {
		t.Errorf("interest %v, want write", got)
	}
	h.Want(communicator.Read)
	if got := h.Interest(); got != communicator.Nothing {
		t.Errorf("interest %v, want nothing", got)
	}
	h.Want(communicator.Read | communicator.Write)
	h.SetDeadline(time.Now()) // means nothing to it
	h.MarkReadable()          // neither does this
	run(t, loop)
	if w.writes != 1 {
		t.Errorf("%d writes", w.writes)
	}
}

// TestDefaultInterest: read if the source can, else write.
func TestDefaultInterest(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	both := add(t, loop, &probe{t: t, file: eventfd(t)}, communicator.Options{})
	only := add(t, loop, &writeOnly{bare: bare{eventfd(t).fd}}, communicator.Options{})
	if both.Interest() != communicator.Read || only.Interest() != communicator.Write {
		t.Errorf("interests %v and %v", both.Interest(), only.Interest())
	}
	both.Remove(nil)
	only.Remove(nil)
	run(t, loop)
}

// TestHandleAfterTheEnd: the methods of a handle whose source has left do nothing.
func TestHandleAfterTheEnd(t *testing.T) {
	for _, leave := range []func(*communicator.Handle){
		func(h *communicator.Handle) { h.Remove(nil) },
		func(h *communicator.Handle) { h.Detach() },
	} {
		loop := newLoop(t, communicator.Config{})
		p := &probe{t: t, file: signalled(t)}
		h := add(t, loop, p, communicator.Options{Name: "gone"})
		leave(h)
		use := func() {
			h.SetEnabled(false)
			h.SetEnabled(true)
			h.SetPriority(-7)
			h.Want(communicator.Read | communicator.Write)
			h.SetDeadline(time.Now())
			h.MarkReadable()
			h.Remove(errTest)
			h.Detach()
			if err := h.Rebind(); !errors.Is(err, communicator.ErrClosed) {
				t.Errorf("Rebind answers %v", err)
			}
			if h.Active() || h.Enabled() || h.Name() != "gone" || h.Loop() != loop {
				t.Errorf("active %v, enabled %v, name %q", h.Active(), h.Enabled(), h.Name())
			}
		}
		use()
		post(t, loop, func() {
			use()
			post(t, loop, use) // in the turn after
		})
		run(t, loop)
		if p.cause != nil {
			t.Errorf("cause %v", p.cause)
		}
	}
}
