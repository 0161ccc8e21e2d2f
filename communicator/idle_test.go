//go:build linux

package communicator_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// quiet holds that a loop, which runs on another goroutine, sleeps for d. A look at its counters is a
// turn itself, so there is exactly one from one look to the next. What happened just before may end the first
// sleep early, and a busy machine may let the loop fall asleep late, so there are a few attempts.
func quiet(t *testing.T, loop *communicator.Communicator, d time.Duration) {
	t.Helper()
	look := func() (s communicator.Stats) {
		do(t, loop, func() { s = loop.Stats() })
		return s
	}
	var turns uint64
	var idle time.Duration
	for range 10 {
		before := look()
		pass(t, d)
		after := look()
		turns = after.Turns - before.Turns
		idle = after.Idle - before.Idle
		if turns == 1 && idle >= d/2 {
			return
		}
	}
	t.Errorf("%d turns in %v, want none but that of the look; the loop says that it was idle for %v", turns, d, idle)
}

const silence = 60 * time.Millisecond

func TestIdle(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	for _, priority := range []int{0, -1} {
		add(t, loop, &probe{t: t, file: eventfd(t)}, communicator.Options{Priority: priority})
		a, _ := socketpair(t)
		add(t, loop, &probe{t: t, file: a}, communicator.Options{Priority: priority})
		add(t, loop, &probe{t: t}, communicator.Options{Priority: priority})
		add(t, loop, &probe{t: t}, communicator.Options{Priority: priority, Deadline: time.Now().Add(time.Hour)})
	}
	start(t, loop)
	quiet(t, loop, 200*time.Millisecond)
}

// TestIdleAfterActivity: events that came and went leave nothing behind that wakes the loop.
func TestIdleAfterActivity(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	for _, priority := range []int{0, -1} {
		p := &probe{t: t, file: signalled(t)}
		p.read = func(h *communicator.Handle) error {
			p.file.drain(t)
			if p.reads < 100 {
				p.file.signal(t)
			}
			return nil
		}
		add(t, loop, p, communicator.Options{Priority: priority})
	}
	fired := &probe{t: t, timeout: ignore}
	add(t, loop, fired, communicator.Options{Deadline: time.Now().Add(time.Millisecond)})
	start(t, loop)
	quiet(t, loop, silence)
}

// TestIdleAfterDeadlineIsGone: a deadline that was cleared, and one whose source has left or is disabled,
// doesn't wake the loop, or once at most.
func TestIdleAfterDeadlineIsGone(t *testing.T) {
	for name, calm := range map[string]func(*communicator.Handle){
		"cleared":  func(h *communicator.Handle) { h.SetDeadline(time.Time{}) },
		"put off":  func(h *communicator.Handle) { h.SetDeadline(time.Now().Add(time.Hour)) },
		"disabled": func(h *communicator.Handle) { h.SetEnabled(false) },
		"removed":  func(h *communicator.Handle) { h.Remove(nil) },
		"detached": func(h *communicator.Handle) { h.Detach() },
	} {
		t.Run(name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			add(t, loop, &probe{t: t}, communicator.Options{})
			h := add(t, loop, &probe{t: t}, communicator.Options{Deadline: time.Now().Add(time.Hour)})
			start(t, loop)
			do(t, loop, func() { h.SetDeadline(time.Now().Add(patience)) })
			do(t, loop, func() { calm(h) })
			quiet(t, loop, silence)
		})
	}
}

// TestIdleAfterVoidEvents: what a callback made of others that were ready in the same batch doesn't keep
// the loop awake.
func TestIdleAfterVoidEvents(t *testing.T) {
	for name, act := range map[string]func(*communicator.Handle){
		"disabled": func(h *communicator.Handle) { h.SetEnabled(false) },
		"removed":  func(h *communicator.Handle) { h.Remove(nil) },
		"detached": func(h *communicator.Handle) { h.Detach() },
		"moved":    func(h *communicator.Handle) { h.SetPriority(5); h.SetPriority(2); h.SetPriority(5) },
		"paused":   func(h *communicator.Handle) { h.Want(communicator.Nothing) },
	} {
		t.Run(name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			add(t, loop, &probe{t: t}, communicator.Options{})
			other := &probe{t: t, name: "other", file: signalled(t), read: remove}
			var h *communicator.Handle
			first := &probe{t: t, name: "first", file: signalled(t), read: func(own *communicator.Handle) error {
				act(h)
				return remove(own)
			}}
			add(t, loop, first, communicator.Options{})
			h = add(t, loop, other, communicator.Options{Priority: 1})
			start(t, loop)
			quiet(t, loop, silence/2)
		})
	}
}

// TestDeadPeer: a peer that has gone costs nothing while its source is off or wants nothing, and is
// noticed when that is over.
func TestDeadPeer(t *testing.T) {
	for _, test := range []struct {
		name    string
		off, on func(*communicator.Handle)
	}{
		{
			"disabled",
			func(h *communicator.Handle) { h.SetEnabled(false) },
			func(h *communicator.Handle) { h.SetEnabled(true) },
		},
		{
			"wants nothing",
			func(h *communicator.Handle) { h.Want(communicator.Nothing) },
			func(h *communicator.Handle) { h.Want(communicator.Read) },
		},
	} {
		for _, priority := range []int{0, -1} {
			t.Run(test.name, func(t *testing.T) {
				loop := newLoop(t, communicator.Config{})
				a, b := socketpair(t)
				noticed := make(chan struct{})
				p := &probe{t: t, file: a, read: func(h *communicator.Handle) error {
					var buf [1]byte
					if n, err := unix.Read(a.fd, buf[:]); n != 0 || err != nil {
						t.Errorf("read %d, %v", n, err)
					}
					close(noticed)
					return remove(h)
				}}
				h := add(t, loop, p, communicator.Options{Priority: priority})
				add(t, loop, &probe{t: t}, communicator.Options{})
				test.off(h)
				b.shut(t)
				start(t, loop)
				quiet(t, loop, silence)
				do(t, loop, func() { test.on(h) })
				await(t, noticed, "the hang-up")
			})
		}
	}
}

// TestTimeoutOnlySourceIsNotWatched: the descriptor of a source that neither reads nor writes wakes nobody.
func TestTimeoutOnlySourceIsNotWatched(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, &sleeper{signalled(t)}, communicator.Options{})
	start(t, loop)
	quiet(t, loop, silence)
}

type sleeper struct{ file *file }

func (s *sleeper) FD() int                                { return s.file.fd }
func (*sleeper) HandleTimeout(*communicator.Handle) error { return nil }
