//go:build linux

package communicator_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

func TestDoReturnsTheError(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, &probe{t: t}, communicator.Options{})
	start(t, loop)
	for _, want := range []error{errTest, nil} {
		if err := loop.Do(context.Background(), func() error { return want }); !errors.Is(err, want) {
			t.Errorf("Do answers %v, want %v", err, want)
		}
	}
}

// TestDoWaitsForRun: it may be called before Run, from another goroutine.
func TestDoWaitsForRun(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	done := make(chan error)
	ctx := &reporting{Context: context.Background(), asked: make(chan struct{})}
	go func() { done <- loop.Do(ctx, func() error { return errTest }) }()
	await(t, ctx.asked, "Do to wait")
	wait := start(t, loop)
	if err := await(t, done, "Do"); !errors.Is(err, errTest) {
		t.Errorf("Do answers %v", err)
	}
	if err := wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestDoOnTheLoop: it would wait for itself.
func TestDoOnTheLoop(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	checks := 0
	check := func(where string) {
		checks++
		err := loop.Do(context.Background(), func() error { t.Errorf("%s: it ran", where); return nil })
		if !errors.Is(err, communicator.ErrOnLoop) {
			t.Errorf("Do in %s answers %v", where, err)
		}
	}
	p := &probe{t: t, file: signalled(t)}
	p.read = func(*communicator.Handle) error { check("HandleRead"); return nil }
	p.write = func(*communicator.Handle) error { check("HandleWrite"); return nil }
	p.timeout = func(h *communicator.Handle) error { check("HandleTimeout"); return remove(h) }
	p.closed = func(*communicator.Handle, error) { check("HandleClose") }
	add(t, loop, p, communicator.Options{Want: communicator.Read | communicator.Write, Deadline: time.Now()})
	post(t, loop, func() { check("a posted function") })
	run(t, loop)
	if checks != 5 {
		t.Errorf("%d checks", checks)
	}
}

// TestDoFromAnotherLoop: the loops' goroutines are told apart.
func TestDoFromAnotherLoop(t *testing.T) {
	here, there := newLoop(t, communicator.Config{}), newLoop(t, communicator.Config{})
	add(t, there, &probe{t: t}, communicator.Options{})
	start(t, there)
	ran := false
	post(t, here, func() { do(t, there, func() { ran = true }) })
	run(t, here)
	if !ran {
		t.Error("it didn't run")
	}
}

// reporting is a context that tells when somebody waits for its end.
type reporting struct {
	context.Context
	asked chan struct{}
	once  bool
}

func (r *reporting) Done() <-chan struct{} {
	if !r.once {
		r.once = true
		close(r.asked)
	}
	return r.Context.Done()
}

// blocked makes the loop busy with a posted function until release is called.
func blocked(t *testing.T, loop *communicator.Communicator) (release func()) {
	t.Helper()
	gate, inside := make(chan struct{}), make(chan struct{})
	post(t, loop, func() {
		close(inside)
		await(t, gate, "the gate to be opened")
	})
	await(t, inside, "the loop to be blocked")
	return func() { close(gate) }
}

func TestDoContextEndsBefore(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, &probe{t: t}, communicator.Options{})
	start(t, loop)
	release := blocked(t, loop)
	ctx, cancel := context.WithCancelCause(context.Background())
	waiting := &reporting{Context: ctx, asked: make(chan struct{})}
	done := make(chan error)
	go func() { done <- loop.Do(waiting, func() error { t.Error("it ran"); return nil }) }()
	await(t, waiting.asked, "Do to wait")
	cancel(errTest)
	if err := await(t, done, "Do"); !errors.Is(err, errTest) {
		t.Errorf("Do answers %v", err)
	}
	release()
	do(t, loop, func() {})
}

// TestDoContextEndsJustBefore: the context ends in the function before. Though Do has had no time to
// notice, f doesn't run.
func TestDoContextEndsJustBefore(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, &probe{t: t}, communicator.Options{})
	start(t, loop)
	for range 20 {
		release := blocked(t, loop)
		ctx, cancel := context.WithCancelCause(context.Background())
		post(t, loop, func() { cancel(errTest) })
		waiting := &reporting{Context: ctx, asked: make(chan struct{})}
		done := make(chan error)
		go func() { done <- loop.Do(waiting, func() error { t.Error("it ran"); return nil }) }()
		await(t, waiting.asked, "Do to wait")
		release()
		if err := await(t, done, "Do"); !errors.Is(err, errTest) {
			t.Errorf("Do answers %v", err)
		}
	}
}

func TestDoContextAlreadyEnded(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, &probe{t: t}, communicator.Options{})
	start(t, loop)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errTest)
	for range 100 {
		err := loop.Do(ctx, func() error { t.Error("it ran"); return nil })
		if !errors.Is(err, errTest) {
			t.Fatalf("Do answers %v", err)
		}
	}
	do(t, loop, func() {})
}

// TestDoContextEndsMeanwhile: once f has begun, Do waits for it.
func TestDoContextEndsMeanwhile(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	add(t, loop, &probe{t: t}, communicator.Options{})
	start(t, loop)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	finished := false
	other := errors.New("the outcome")
	err := loop.Do(ctx, func() error {
		cancel()
		spin(2 * time.Millisecond) // time for Do to go wrong
		finished = true
		return other
	})
	if !finished || !errors.Is(err, other) {
		t.Errorf("finished %v, Do answers %v", finished, err)
	}
}

// TestDoWhenTheLoopEnds: either f runs, or Do says that the loop has ended.
func TestDoWhenTheLoopEnds(t *testing.T) {
	for range 100 {
		loop := newLoop(t, communicator.Config{})
		add(t, loop, &probe{t: t}, communicator.Options{})
		wait := start(t, loop)
		ran := false
		done := make(chan error, 1)
		go func() { done <- loop.Do(context.Background(), func() error { ran = true; return nil }) }()
		loop.Stop(nil)
		err := await(t, done, "Do")
		if ran != (err == nil) || err != nil && !errors.Is(err, communicator.ErrClosed) {
			t.Fatalf("ran %v, Do answers %v", ran, err)
		}
		if err := wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDoIsServedByClose: what waits for a loop that never runs is not left waiting.
func TestDoIsServedByClose(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	ctx := &reporting{Context: context.Background(), asked: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- loop.Do(ctx, func() error { return errTest }) }()
	await(t, ctx.asked, "Do to wait")
	if err := loop.Close(); err != nil {
		t.Error(err)
	}
	if err := await(t, done, "Do"); !errors.Is(err, errTest) {
		t.Errorf("Do answers %v", err)
	}
}

// TestDoOnLoopBesideWork: a callback of a loop that doesn't sleep, because it has something to do at the end of each
// turn, can't wait for itself either; not even one that is called while events are collected.
func TestDoOnLoopBesideWork(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	calls := 0
	urgent := &probe{t: t, file: signalled(t)}
	urgent.read = func(*communicator.Handle) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := loop.Do(ctx, func() error { return nil }); !errors.Is(err, communicator.ErrOnLoop) {
			t.Errorf("call %d: Do answers %v", calls, err)
			loop.Stop(nil)
		}
		if calls++; calls == 1000 {
			loop.Stop(nil)
		}
		return nil
	}
	add(t, loop, urgent, communicator.Options{Priority: communicator.PriorityUrgent})
	for range 200 { // more than are collected at once
		add(t, loop, &probe{t: t, file: signalled(t), read: ignore}, communicator.Options{})
	}
	var again func()
	again = func() { loop.AfterTurn(again) }
	loop.AfterTurn(again)
	run(t, loop)
}
