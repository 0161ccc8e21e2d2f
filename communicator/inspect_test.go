//go:build linux

package communicator_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// named is a source that has a String method and bytes queued.
type named struct {
	sleeper
	queued int
}

func (*named) String() string     { return "by itself" }
func (n *named) QueuedBytes() int { return n.queued }

func TestSources(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	due := time.Now().Add(time.Hour)
	a, b, c := eventfd(t), eventfd(t), eventfd(t)
	add(t, loop, &named{sleeper{c}, 4711}, communicator.Options{Deadline: due})
	add(t, loop, &probe{t: t, file: b}, communicator.Options{Name: "given", Priority: -5, Want: communicator.Read | communicator.Write})
	add(t, loop, &probe{t: t}, communicator.Options{Disabled: true})
	unnamed := add(t, loop, &probe{t: t, file: a}, communicator.Options{Want: communicator.Write})
	gone := add(t, loop, &probe{t: t, name: "gone"}, communicator.Options{})
	gone.Remove(nil)
	add(t, loop, &probe{t: t, name: "detached"}, communicator.Options{}).Detach()

	const kind = "*communicator_test.probe"
	want := []communicator.Info{
		{Name: "by itself", Kind: "*communicator_test.named", FD: c.fd, Enabled: true, Deadline: due, Queued: 4711},
		{Name: "given", Kind: kind, FD: b.fd, Priority: -5, Enabled: true, Want: communicator.Read | communicator.Write},
		{Name: kind, Kind: kind, FD: communicator.NoFD, Want: communicator.Read},
		{Name: fmt.Sprintf("%s fd %d", kind, a.fd), Kind: kind, FD: a.fd, Enabled: true, Want: communicator.Write},
	}
	got := loop.Sources()
	if len(got) != len(want) {
		t.Fatalf("%d sources, want %d: %v", len(got), len(want), got)
	}
	for i := range want {
		if off := got[i].Deadline.Sub(want[i].Deadline); off < -time.Second || off > time.Second {
			t.Errorf("%s: deadline off by %v", want[i].Name, off)
		}
		got[i].Deadline = want[i].Deadline
		if got[i] != want[i] {
			t.Errorf("got  %#v\nwant %#v", got[i], want[i])
		}
	}
	if live := loop.Stats().Live; live != len(want) {
		t.Errorf("live %d", live)
	}
	if unnamed.Loop() != loop {
		t.Error("a handle of another loop")
	}
}

// TestSourcesCountCalls: the listing says how often each has been called.
func TestSourcesCountCalls(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, name: "p", file: signalled(t), write: ignore, timeout: ignore}
	p.read = func(h *communicator.Handle) error {
		if p.reads == 3 {
			list := loop.Sources()
			// Two rounds of read and write, the first with a time-out; the third is under way.
			if len(list) != 1 || list[0].Calls != 5 {
				t.Errorf("sources: %v", list)
			}
			h.Remove(nil)
		}
		return nil
	}
	o := communicator.Options{Want: communicator.Read | communicator.Write, Deadline: time.Now()}
	add(t, loop, p, o)
	run(t, loop)
}

func TestInfoString(t *testing.T) {
	for _, test := range []struct {
		info communicator.Info
		want string
	}{
		{
			communicator.Info{Name: "a", Kind: "*k", FD: 7, Enabled: true, Want: communicator.Read},
			"a (*k): priority 0, fd 7 waits for read, 0 calls",
		},
		{
			communicator.Info{Name: "a", Kind: "*k", FD: 7, Enabled: true, Priority: -3, Queued: 12, Calls: 9},
			"a (*k): priority -3, fd 7 waits for nothing, 12 bytes queued, 9 calls",
		},
		{
			communicator.Info{Name: "a", Kind: "*k", FD: 7, Want: communicator.Read},
			"a (*k): priority 0, disabled, 0 calls",
		},
		{
			communicator.Info{Name: "a", Kind: "*k", FD: communicator.NoFD, Enabled: true},
			"a (*k): priority 0, waits for nothing, 0 calls",
		},
	} {
		if got := test.info.String(); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
	due := communicator.Info{Name: "a", Kind: "*k", FD: communicator.NoFD, Enabled: true, Deadline: time.Now().Add(90 * time.Minute)}
	if got := due.String(); !strings.Contains(got, "no descriptor, deadline in 1h") {
		t.Errorf("got %q", got)
	}
}

func TestInterestString(t *testing.T) {
	for interest, want := range map[communicator.Interest]string{
		communicator.Nothing: "nothing", communicator.Read: "read", communicator.Write: "write",
		communicator.Read | communicator.Write: "read+write",
	} {
		if got := interest.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestNameAfterTheEnd: the name serves HandleClose, logs and reports also when the descriptor has gone.
func TestNameAfterTheEnd(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, file: signalled(t), read: remove}
	want := fmt.Sprintf("*communicator_test.probe fd %d", p.file.fd)
	p.closed = func(h *communicator.Handle, _ error) {
		if got := h.Name(); got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
	add(t, loop, p, communicator.Options{})
	run(t, loop)
}

func TestStats(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	if s := loop.Stats(); s.Turns != 0 || s.Live != 0 || s.Age <= 0 {
		t.Errorf("at the beginning: %+v", s)
	}
	begin := time.Now()
	const sleep = 10 * time.Millisecond
	p := &probe{t: t, file: signalled(t), timeout: remove}
	p.read = func(h *communicator.Handle) error {
		p.file.drain(t)
		h.SetDeadline(time.Now().Add(sleep))
		return nil
	}
	add(t, loop, p, communicator.Options{})
	post(t, loop, func() {})
	post(t, loop, func() {})
	run(t, loop)
	s := loop.Stats()
	if s.Callbacks != 2 || s.Posted != 2 || s.Closed != 1 || s.Live != 0 || s.Stale != 0 || s.Slow != 0 {
		t.Errorf("%+v", s)
	}
	if s.Turns < 2 || s.Turns > 6 {
		t.Errorf("%d turns", s.Turns)
	}
	if s.Idle < sleep/2 || s.Idle > time.Since(begin) || s.Age < s.Idle {
		t.Errorf("idle %v, running %v", s.Idle, s.Age)
	}
}

// TestLogValue: a handle can be logged as it is.
func TestLogValue(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	h := add(t, loop, &probe{t: t}, communicator.Options{Name: "me", Priority: 3})
	got := slog.AnyValue(h).Resolve().String()
	if want := "[name=me fd=-1 priority=3]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestBuffers: the loop's buffers stay the same, and have the room that was promised.
func TestBuffers(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	r, w := loop.ReadBuffer(), loop.WriteBuffer()
	if len(r) != communicator.BufferSize || len(*w) != 0 || cap(*w) < communicator.BufferSize {
		t.Errorf("%d bytes to read, %d of %d to write", len(r), len(*w), cap(*w))
	}
	if &r[0] != &loop.ReadBuffer()[0] || w != loop.WriteBuffer() || &r[0] == &(*w)[:1][0] {
		t.Error("the buffers are not two")
	}
}
