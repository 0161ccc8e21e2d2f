//go:build linux

package communicator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// scene is a batch of two ready sources: the first steers, the second is steered.
type scene struct {
	t      *testing.T
	loop   *communicator.Communicator
	first  *communicator.Handle
	other  *probe
	handle *communicator.Handle // of the other
	order  journal
}

// play lets the first source do something to the second, and posts what is to happen in the turns after.
func play(t *testing.T, priority int, act func(s *scene), later ...func(s *scene)) *scene {
	t.Helper()
	s := &scene{t: t, loop: newLoop(t, communicator.Config{})}
	first := &probe{t: t, name: "first", file: signalled(t)}
	first.read = func(h *communicator.Handle) error {
		act(s)
		s.post(later)
		return remove(h)
	}
	s.other = &probe{t: t, name: "other", file: signalled(t)}
	s.other.read = s.order.noter("read", func(*communicator.Handle) error {
		s.other.file.drain(t)
		return nil
	})
	s.other.write = s.order.noter("write", ignore)
	s.other.timeout = s.order.noter("timeout", ignore)
	s.first = add(t, s.loop, first, communicator.Options{Priority: priority})
	s.handle = add(t, s.loop, s.other, communicator.Options{Priority: priority, Deadline: time.Now()})
	run(t, s.loop)
	if s.other.closes > 1 {
		t.Errorf("closed %d times", s.other.closes)
	}
	return s
}

// post runs the steps, each in a turn of its own.
func (s *scene) post(steps []func(*scene)) {
	if len(steps) == 0 {
		post(s.t, s.loop, func() { s.handle.Remove(nil) })
		return
	}
	post(s.t, s.loop, func() {
		steps[0](s)
		s.post(steps[1:])
	})
}

func nothing(*scene) {}

func TestSteerReadySource(t *testing.T) {
	for _, test := range []struct {
		name  string
		plain bool // not for urgent sources, which are looked at within the turn too
		act   func(s *scene)
		later []func(s *scene)
		want  []string
	}{
		{name: "left alone", act: nothing, want: []string{"read", "timeout"}},
		{name: "removed", act: func(s *scene) { s.handle.Remove(nil) }, later: []func(*scene){nothing, nothing}},
		{name: "disabled", act: func(s *scene) { s.handle.SetEnabled(false) }, later: []func(*scene){nothing, nothing}},
		{
			name: "disabled and enabled later",
			act: func(s *scene) {
				s.handle.SetDeadline(time.Time{})
				s.handle.SetEnabled(false)
			},
			later: []func(*scene){nothing, func(s *scene) { s.order.note("on"); s.handle.SetEnabled(true) }, nothing},
			want:  []string{"on", "read"},
		},
		{
			name: "disabled and enabled when there is nothing to read any more",
			act: func(s *scene) {
				s.other.file.drain(s.t)
				s.handle.SetDeadline(time.Time{})
				s.handle.SetEnabled(false)
				s.handle.SetEnabled(true)
			},
			later: []func(*scene){nothing, nothing},
		},
		{
			name: "disabled and enabled while due",
			act: func(s *scene) {
				s.other.file.drain(s.t)
				s.handle.SetEnabled(false)
				s.handle.SetEnabled(true)
			},
			later: []func(*scene){nothing},
			want:  []string{"timeout"},
		},
		{
			name:  "wants nothing",
			act:   func(s *scene) { s.handle.Want(communicator.Nothing) },
			later: []func(*scene){nothing, nothing},
			want:  []string{"timeout"},
		},
		{
			name:  "wants to write instead",
			plain: true,
			act:   func(s *scene) { s.handle.Want(communicator.Write) },
			later: []func(*scene){func(s *scene) {
				s.handle.Want(communicator.Nothing)
				s.order.note("paused")
			}, nothing},
			want: []string{"timeout", "paused"}, // what is writable now is for the next look
		},
		{
			name: "deadline cleared",
			act:  func(s *scene) { s.handle.SetDeadline(time.Time{}) },
			want: []string{"read"},
		},
		{
			name:  "deadline put off",
			act:   func(s *scene) { s.handle.SetDeadline(time.Now().Add(time.Hour)) },
			later: []func(*scene){func(s *scene) { s.other.file.drain(s.t) }, nothing},
			want:  []string{"read"},
		},
		{
			name:  "detached",
			act:   func(s *scene) { s.handle.Detach() },
			later: []func(*scene){nothing, nothing},
		},
	} {
		for _, priority := range []int{communicator.PriorityNormal, communicator.PriorityUrgent} {
			if test.plain && priority < 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", test.name, priority), func(t *testing.T) {
				s := play(t, priority, test.act, test.later...)
				s.order.expect(t, test.want...)
				if test.name != "detached" && s.other.closes != 1 {
					t.Errorf("closed %d times", s.other.closes)
				}
			})
		}
	}
}

// TestSteerItself: a callback that switches its own source off gets no other of the same event.
func TestSteerItself(t *testing.T) {
	for _, test := range []struct {
		name string
		act  func(h *communicator.Handle)
		want []string
	}{
		{"nothing", func(*communicator.Handle) {}, []string{"read", "write", "timeout"}},
		{"removed", func(h *communicator.Handle) { h.Remove(nil) }, []string{"read"}},
		{"detached", func(h *communicator.Handle) { h.Detach() }, []string{"read"}},
		{"disabled", func(h *communicator.Handle) { h.SetEnabled(false) }, []string{"read"}},
		{"reads only", func(h *communicator.Handle) { h.Want(communicator.Read) }, []string{"read", "timeout"}},
		{"no deadline", func(h *communicator.Handle) { h.SetDeadline(time.Time{}) }, []string{"read", "write"}},
		{"later deadline", func(h *communicator.Handle) { h.SetDeadline(time.Now().Add(time.Hour)) }, []string{"read", "write"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			var order journal
			p := &probe{t: t, name: "p", file: signalled(t)}
			p.write = order.noter("write", ignore)
			p.timeout = order.noter("timeout", ignore)
			p.read = order.noter("read", func(h *communicator.Handle) error {
				test.act(h)
				post(t, loop, func() { h.Remove(nil) })
				return nil
			})
			add(t, loop, p, communicator.Options{Want: communicator.Read | communicator.Write, Deadline: time.Now()})
			run(t, loop)
			order.expect(t, test.want...)
		})
	}
}

// TestOffAndOnForgetsTheWrite: what was reported before a source was switched off is not delivered when it is on
// again, not even the other half of the same event.
func TestOffAndOnForgetsTheWrite(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	p := &probe{t: t, name: "p", file: signalled(t), write: order.noter("write", remove)}
	p.read = order.noter("read", func(h *communicator.Handle) error {
		p.file.drain(t)
		h.SetEnabled(false)
		h.SetEnabled(true)
		post(t, loop, func() { order.note("posted") })
		return nil
	})
	add(t, loop, p, communicator.Options{Want: communicator.Read | communicator.Write})
	run(t, loop)
	order.expect(t, "read", "posted", "write")
}

// TestAddInACallback: what is added while a turn is on has its turn in the next.
func TestAddInACallback(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	adder := &probe{t: t, name: "adder", file: signalled(t)}
	adder.read = order.noter("adder", func(h *communicator.Handle) error {
		p := &probe{t: t, name: "added", file: signalled(t), read: order.noter("added", remove)}
		add(t, loop, p, communicator.Options{Priority: 1}) // not urgent, but better than the other
		return remove(h)
	})
	add(t, loop, adder, communicator.Options{Priority: 1})
	add(t, loop, &probe{t: t, file: signalled(t), read: order.noter("other", remove)}, communicator.Options{Priority: 2})
	run(t, loop)
	order.expect(t, "adder", "other", "added")
}

// TestAddFromEverywhere: sources can be added by a posted function, a time-out and a HandleClose.
func TestAddFromEverywhere(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	leaf := func(name string) {
		add(t, loop, &probe{t: t, name: name, file: signalled(t), read: order.noter(name, remove)}, communicator.Options{})
	}
	closer := &probe{t: t, name: "closer", timeout: remove}
	closer.closed = func(*communicator.Handle, error) { leaf("by HandleClose") }
	post(t, loop, func() {
		leaf("by a posted function")
		clock := &probe{t: t, name: "clock", timeout: func(h *communicator.Handle) error {
			leaf("by HandleTimeout")
			add(t, loop, closer, communicator.Options{Deadline: time.Now()})
			return remove(h)
		}}
		add(t, loop, clock, communicator.Options{Deadline: time.Now(), Priority: 1})
	})
	run(t, loop)
	order.expect(t, "by a posted function", "by HandleTimeout", "by HandleClose")
}

// TestDisabledAtAdd: a source added disabled begins when it is enabled.
func TestDisabledAtAdd(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var order journal
	p := &probe{t: t, file: signalled(t), read: order.noter("read", ignore)}
	p.timeout = order.noter("timeout", remove)
	h := add(t, loop, p, communicator.Options{Disabled: true, Deadline: time.Now()})
	if h.Enabled() || !h.Active() {
		t.Errorf("enabled %v, active %v", h.Enabled(), h.Active())
	}
	post(t, loop, func() {
		post(t, loop, func() {
			order.note("on")
			h.SetEnabled(true)
			h.SetEnabled(true) // does nothing
		})
	})
	run(t, loop)
	order.expect(t, "on", "read", "timeout")
}

// TestInterestOfAPeerThatHungUp: both sides of an interest hear of a hang-up, whichever is watched.
func TestInterestOfAPeerThatHungUp(t *testing.T) {
	for _, want := range []communicator.Interest{communicator.Read, communicator.Write, communicator.Read | communicator.Write} {
		loop := newLoop(t, communicator.Config{})
		a, b := socketpair(t)
		var order journal
		p := &probe{t: t, file: a, read: order.noter("read", ignore), write: order.noter("write", ignore)}
		h := add(t, loop, p, communicator.Options{Want: want})
		post(t, loop, func() { h.Remove(nil) })
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		run(t, loop)
		var expected []string
		if want&communicator.Read != 0 {
			expected = append(expected, "read")
		}
		if want&communicator.Write != 0 {
			expected = append(expected, "write")
		}
		order.expect(t, expected...)
	}
}
