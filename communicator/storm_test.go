//go:build linux

package communicator_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// storm plays random operations on a loop from within its callbacks, and holds a model of what it has
// done against what the loop does.
type storm struct {
	t       *testing.T
	rng     *rand.Rand
	loop    *communicator.Communicator
	members []*member
	all     []*member
	live    int
	steps   int
	left    int // callbacks until the end
	least   int // twice the fewest sources
}

// member is a source of the storm, and the model of its state.
type member struct {
	probe
	storm    *storm
	handle   *communicator.Handle
	want     communicator.Interest
	peer     *file
	in       bool // in the loop
	enabled  bool
	deadline bool
	detached bool
	closing  bool // removed, not yet closed
}

func (s *storm) add() {
	m := &member{storm: s, in: true, enabled: s.rng.IntN(10) != 0}
	m.t = s.t
	o := communicator.Options{Priority: s.rng.IntN(8) - 1, Disabled: !m.enabled}
	kind := s.rng.IntN(8)
	switch kind {
	case 0, 1, 2: // an eventfd, readable or not
		m.file = eventfd(s.t)
		if s.rng.IntN(2) == 0 {
			m.file.signal(s.t)
		}
		m.want = communicator.Interest(s.rng.IntN(4))
	case 3, 4: // a socket, whose peer may have gone
		m.file, m.peer = socketpair(s.t)
		if s.rng.IntN(2) == 0 {
			m.peer.shut(s.t)
		}
		m.want = communicator.Interest(s.rng.IntN(4))
	}
	if kind > 4 || s.rng.IntN(4) == 0 {
		m.deadline = true
		o.Deadline = time.Now().Add(time.Duration(s.rng.IntN(2000)) * time.Microsecond)
	}
	m.name = fmt.Sprintf("%d (kind %d)", len(s.all), kind)
	m.read = func(h *communicator.Handle) error { return s.called(m, h, communicator.Read) }
	m.write = func(h *communicator.Handle) error { return s.called(m, h, communicator.Write) }
	m.timeout = func(h *communicator.Handle) error { return s.called(m, h, communicator.Nothing) }
	m.closed = func(h *communicator.Handle, cause error) { s.ended(m, h) }
	o.Want = m.want
	if m.want == communicator.Nothing {
		m.want = communicator.Read // the default
	}
	m.handle = add(s.t, s.loop, m, o)
	s.live++
	s.members = append(s.members, m)
	s.all = append(s.all, m)
}

// called is every callback: the model must allow it. Then something else happens.
func (s *storm) called(m *member, h *communicator.Handle, what communicator.Interest) error {
	switch {
	case h != m.handle || !m.in || !m.enabled:
		s.t.Errorf("%s: called for %v, in the loop %v, enabled %v", m.name, what, m.in, m.enabled)
	case what != communicator.Nothing && m.want&what == 0:
		s.t.Errorf("%s: called for %v, wants %v", m.name, what, m.want)
	case what == communicator.Nothing && !m.deadline:
		s.t.Errorf("%s: called for a deadline that it doesn't have", m.name)
	}
	if got := s.loop.Stats().Live; got != s.live {
		s.t.Errorf("the loop has %d sources, the model %d", got, s.live)
	}
	if what == communicator.Nothing {
		m.deadline = false
		if s.rng.IntN(3) > 0 {
			s.setDeadline(m)
		}
	}
	if h.Priority() < 0 && s.rng.IntN(2) == 0 {
		h.SetPriority(s.rng.IntN(7)) // or else it keeps everybody behind it waiting
	}
	if what == communicator.Read && m.peer == nil && m.file != nil && s.rng.IntN(8) > 0 {
		m.file.drain(s.t)
	}
	for range s.rng.IntN(4) {
		s.act()
	}
	if s.left--; s.left <= 0 || s.t.Failed() {
		s.loop.Stop(nil)
	}
	if s.rng.IntN(50) == 0 && m.in {
		s.gone(m)
		m.closing = true
		return errTest
	}
	return nil
}

// ended is every HandleClose.
func (s *storm) ended(m *member, h *communicator.Handle) {
	if h != m.handle || m.detached || m.in && s.left > 0 && !s.t.Failed() {
		s.t.Errorf("%s: closed, in the loop %v, detached %v", m.name, m.in, m.detached)
	}
	m.closing = false
	m.in = false
	if s.left > 0 && s.rng.IntN(2) == 0 {
		s.add()
	}
}

// gone takes a member out of the model.
func (s *storm) gone(m *member) {
	m.in = false
	s.live--
	for i, o := range s.members {
		if o == m {
			last := len(s.members) - 1
			s.members[i] = s.members[last]
			s.members = s.members[:last]
			break
		}
	}
}

func (s *storm) setDeadline(m *member) {
	m.deadline = true
	m.handle.SetDeadline(time.Now().Add(time.Duration(s.rng.IntN(1000)-100) * time.Microsecond))
}

// act does something to a member.
func (s *storm) act() {
	s.steps++
	for len(s.members) < s.least/2 {
		s.add()
	}
	m := s.members[s.rng.IntN(len(s.members))]
	switch s.rng.IntN(20) {
	case 0, 1:
		s.add()
	case 2:
		s.gone(m)
		m.closing = true
		m.handle.Remove(nil)
	case 3:
		s.gone(m)
		m.detached = true
		m.handle.Detach()
		if m.file != nil {
			m.file.shut(s.t) // the number will be used again
		}
	case 4, 5, 6:
		m.enabled = false
		m.handle.SetEnabled(false)
	case 7, 8, 9, 10:
		m.enabled = true
		m.handle.SetEnabled(true)
	case 11, 12:
		m.handle.SetPriority(s.rng.IntN(8) - 1)
	case 13, 14:
		m.want = communicator.Interest(s.rng.IntN(4))
		m.handle.Want(m.want)
	case 15:
		m.deadline = false
		m.handle.SetDeadline(time.Time{})
	case 16:
		s.setDeadline(m)
	case 17:
		m.handle.MarkReadable()
	case 18:
		if s.left > 0 {
			post(s.t, s.loop, s.act)
		}
	case 19:
		if m.file != nil && m.peer == nil {
			m.file.signal(s.t)
		}
	}
}

// beat keeps a storm going when all its members are switched off.
func (s *storm) beat() *probe {
	p := &probe{t: s.t, name: "beat"}
	p.timeout = func(h *communicator.Handle) error {
		h.SetDeadline(time.Now().Add(100 * time.Microsecond))
		s.act()
		if s.left--; s.left <= 0 || s.t.Failed() {
			s.loop.Stop(nil)
		}
		return nil
	}
	add(s.t, s.loop, p, communicator.Options{Deadline: time.Now()})
	s.live++
	return p
}

// TestStorm plays few sources for many turns and many for a few.
func TestStorm(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := &storm{t: t, loop: newLoop(t, communicator.Config{}), rng: rand.New(rand.NewPCG(seed, 7)), left: 5000}
			s.least = 40
			if seed%2 == 0 {
				s.least = 2000
			}
			beat := s.beat()
			for range s.least {
				s.add()
			}
			run(t, s.loop)
			if s.left > 0 {
				t.Errorf("the loop ended %d callbacks early", s.left)
			}
			ends := uint64(1)
			for _, m := range s.all {
				want := 1
				if m.detached {
					want = 0
				}
				ends += uint64(want)
				if m.closes != want || m.handle.Active() {
					t.Errorf("%s: closed %d times, want %d", m.name, m.closes, want)
				}
			}
			if got := s.loop.Stats(); got.Closed != ends || got.Live != 0 || beat.closes != 1 {
				t.Errorf("closed %d of %d, live %d", got.Closed, ends, got.Live)
			}
			t.Logf("%d sources, %d operations, %+v", len(s.all), s.steps, s.loop.Stats())
		})
	}
}
