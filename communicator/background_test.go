//go:build linux

package communicator_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// left holds that a source was in the loop to the end, and then closed once.
func (p *probe) left(t *testing.T) {
	t.Helper()
	if p.closes != 1 || !errors.Is(p.cause, communicator.ErrClosed) {
		t.Errorf("%s: closed %d times, with %v", p.name, p.closes, p.cause)
	}
}

// TestBackgroundLetsRunReturn: however a source has come to be in the background, Run returns as soon as nothing
// else is left.
func TestBackgroundLetsRunReturn(t *testing.T) {
	for name, begin := range map[string]func(loop *communicator.Communicator, h *communicator.Handle){
		"at once": func(_ *communicator.Communicator, h *communicator.Handle) { h.SetBackground(true) },
		"at run time": func(loop *communicator.Communicator, h *communicator.Handle) {
			post(t, loop, func() { h.SetBackground(true) })
		},
		"twice": func(_ *communicator.Communicator, h *communicator.Handle) {
			h.SetBackground(true)
			h.SetBackground(true)
		},
		"there and back": func(_ *communicator.Communicator, h *communicator.Handle) {
			h.SetBackground(true)
			h.SetBackground(false)
			h.SetBackground(true)
		},
		"within the loop": func(loop *communicator.Communicator, h *communicator.Handle) {
			loop.AfterTurn(func() { h.SetBackground(true) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			for _, p := range []*probe{{t: t, name: "bare"}, {t: t, name: "of a file", file: eventfd(t)}} {
				begin(loop, add(t, loop, p, communicator.Options{Deadline: time.Now().Add(time.Hour)}))
				defer p.left(t)
			}
			run(t, loop)
		})
	}
}

// TestBackgroundOptions: sources that are added to the background, of any kind, don't keep the loop.
func TestBackgroundOptions(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	var sources []*probe
	for _, o := range []communicator.Options{
		{Name: "plain"}, {Name: "urgent", Priority: -1}, {Name: "disabled", Disabled: true},
		{Name: "due later", Deadline: time.Now().Add(time.Hour)},
		{Name: "with a rate", Rate: communicator.Rate{Events: 1, Interval: time.Hour}},
	} {
		o.Background = true
		p := &probe{t: t, name: o.Name, file: eventfd(t)}
		sources = append(sources, p)
		add(t, loop, p, o)
	}
	for _, info := range loop.Sources() {
		if !info.Background {
			t.Errorf("not listed as one in the background: %v", info)
		}
	}
	run(t, loop)
	for _, p := range sources {
		p.left(t)
	}
}

// TestBackgroundWorks: a source in the background is called like any other while something else keeps the loop.
func TestBackgroundWorks(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, name: "background", file: signalled(t)}
	keeper := add(t, loop, &probe{t: t, name: "keeper"}, communicator.Options{})
	p.read = func(h *communicator.Handle) error {
		p.file.drain(t)
		h.SetDeadline(time.Now().Add(time.Millisecond))
		return nil
	}
	p.timeout = func(*communicator.Handle) error {
		if p.file.signal(t); p.timeouts == 5 {
			keeper.Remove(nil)
		}
		return nil
	}
	add(t, loop, p, communicator.Options{Background: true})
	run(t, loop)
	if p.timeouts != 5 || p.reads < 5 {
		t.Errorf("%d time-outs, %d reads", p.timeouts, p.reads)
	}
	p.left(t)
}

// TestBackgroundCounts: whatever comes into the background and leaves it, the loop runs as long as the ordinary
// source is there, and no longer.
func TestBackgroundCounts(t *testing.T) {
	for name, act := range map[string]func(h *communicator.Handle){
		"removed":         func(h *communicator.Handle) { h.Remove(nil) },
		"detached":        func(h *communicator.Handle) { h.Detach() },
		"brought forward": func(h *communicator.Handle) { h.SetBackground(false); h.Remove(nil) },
		"after removal":   func(h *communicator.Handle) { h.Remove(nil); h.SetBackground(false); h.SetBackground(true) },
		"refused": func(h *communicator.Handle) {
			if _, err := h.Loop().Add(new(sleeperWithout), communicator.Options{Background: true}); err == nil {
				t.Error("it was taken")
			}
			h.Remove(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			h := add(t, loop, &probe{t: t, name: "background"}, communicator.Options{Background: true})
			keeper := &probe{t: t, name: "keeper", timeout: remove}
			add(t, loop, keeper, communicator.Options{Deadline: time.Now().Add(5 * time.Millisecond)})
			post(t, loop, func() { act(h) })
			run(t, loop)
			if keeper.timeouts != 1 {
				t.Error("the loop ended before its source had had its time-out")
			}
		})
	}
}

type sleeperWithout struct{}

func (*sleeperWithout) FD() int { return communicator.NoFD }

// TestBackgroundComesForward: from then on it keeps the loop.
func TestBackgroundComesForward(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, name: "p", timeout: remove}
	h := add(t, loop, p, communicator.Options{Background: true, Deadline: time.Now().Add(5 * time.Millisecond)})
	post(t, loop, func() { h.SetBackground(false) })
	run(t, loop)
	if p.timeouts != 1 || p.cause != nil {
		t.Errorf("%d time-outs, closed with %v", p.timeouts, p.cause)
	}
}

// TestBackgroundInShutdown: what is in the background goes on until the loop ends, and doesn't hold that up; one
// that is a ShutdownHandler is asked all the same.
func TestBackgroundInShutdown(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	plain := &probe{t: t, name: "plain", file: eventfd(t)}
	asked := newSteady(t, "asked", stay)
	finishing := newSteady(t, "finishing", func(*communicator.Handle) { plain.file.signal(t) })
	handle := add(t, loop, finishing, communicator.Options{})
	plain.read = func(*communicator.Handle) error { // the last that finishing waits for
		plain.file.drain(t)
		handle.Remove(nil)
		return nil
	}
	add(t, loop, plain, communicator.Options{Background: true})
	add(t, loop, asked, communicator.Options{Background: true})
	post(t, loop, func() { loop.Shutdown(patience) })
	run(t, loop)
	if plain.reads != 1 || asked.asked != 1 || finishing.asked != 1 {
		t.Errorf("%d reads after the shutdown began; asked %d and %d times", plain.reads, asked.asked, finishing.asked)
	}
	plain.left(t)
	asked.left(t)
}

// TestBackgroundIsNotBlamed: a shutdown that takes too long names what has held it up, and that is never in the
// background.
func TestBackgroundIsNotBlamed(t *testing.T) {
	loop, log := looptest.New(t)
	add(t, loop, newSteady(t, "bystander", stay), communicator.Options{Name: "bystander", Background: true})
	add(t, loop, newSteady(t, "culprit", stay), communicator.Options{Name: "culprit"})
	post(t, loop, func() { loop.Shutdown(time.Millisecond) })
	if err := runError(t, loop); !errors.Is(err, communicator.ErrShutdownTimeout) {
		t.Errorf("Run: %v", err)
	}
	want := []string{"WARN the shutdown is cut short sources=1 first=[culprit] holds=0"}
	if got := log.Containing("cut short"); !slices.Equal(got, want) {
		t.Errorf("log %q, want %q", got, want)
	}
}
