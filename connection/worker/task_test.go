//go:build linux

package worker_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestCancelQueued: what no worker has begun never starts, and makes room once it has been called back.
func TestCancelQueued(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{Workers: 1, Queue: 1})
	first := newGate()
	var got []string
	do(t, p, first.wait, func(v string, err error) { must(t, err); got = append(got, v) })
	await(t, first.begun, "the first to begin")
	var second *worker.Task
	second = do(t, p, func(context.Context) (string, error) {
		t.Error("it has begun")
		return "", nil
	}, func(v string, err error) {
		wants(t, "the second", err, context.Canceled)
		got = append(got, "cancelled"+v)
		if !second.Done() {
			t.Error("it is not done")
		}
		second.Cancel()
		do(t, p, func(context.Context) (string, error) { return "third", nil },
			func(v string, err error) { must(t, err); got = append(got, v) })
		close(first.open)
	})
	second.Cancel()
	second.Cancel() // once more means nothing
	if second.Done() || len(got) != 0 || second.Handle() != p.Handle() {
		t.Errorf("done %v, callbacks %v", second.Done(), got)
	}
	if s, want := p.Stats(), (worker.Stats{Workers: 1, Running: 1, Finished: 1}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	full(t, p, worker.ErrFull) // until the callback
	looptest.Run(t, loop)
	equal(t, "callbacks", got, []string{"cancelled", "through the gate", "third"})
}

// TestCancelRunning: the context ends, and what comes out is what the work returns.
func TestCancelRunning(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{})
	begun := make(chan struct{})
	var got []string
	task := do(t, p, func(ctx context.Context) (string, error) {
		close(begun)
		return obedient(ctx)
	}, func(v string, err error) {
		wants(t, "the callback", err, context.Canceled)
		got = append(got, v)
	})
	await(t, begun, "the work to begin")
	task.Cancel()
	looptest.Run(t, loop)
	equal(t, "callbacks", got, []string{"told to end"})
}

// TestCancelFinished: it is too late.
func TestCancelFinished(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{})
	var got []int
	task := do(t, p, func(context.Context) (int, error) { return 7, nil }, func(v int, err error) {
		must(t, err)
		got = append(got, v)
	})
	for p.Stats().Finished == 0 {
		runtime.Gosched()
	}
	task.Cancel()
	looptest.Run(t, loop)
	equal(t, "callbacks", got, []int{7})
}

// TestContextEndsWithTheTask: what hangs on the context of work that is over is given back.
func TestContextEndsWithTheTask(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPool(t, loop, worker.Config{})
	do(t, p, func(ctx context.Context) (context.Context, error) { return ctx, ctx.Err() }, func(ctx context.Context, err error) {
		must(t, err)
		wants(t, "the context", ctx.Err(), context.Canceled)
	})
	looptest.Run(t, loop)
}

func TestGo(t *testing.T) {
	loop, _ := looptest.New(t)
	functions := []func(context.Context) error{
		func(context.Context) error { return nil },
		func(context.Context) error { return errTest },
		func(context.Context) error { panic(errTest) },
		func(context.Context) error { runtime.Goexit(); return nil },
	}
	var got []error
	var tasks []*worker.Task
	turn := make([]chan struct{}, len(functions)+1)
	for i := range turn {
		turn[i] = make(chan struct{})
	}
	for i, f := range functions {
		task, err := worker.Go(loop, func(ctx context.Context) error { <-turn[i]; return f(ctx) }, func(err error) {
			if len(got) != i || !tasks[i].Done() {
				t.Errorf("number %d is the end of %d, done: %v", len(got), i, tasks[i].Done())
			}
			got = append(got, err)
			tasks[i].Cancel() // means nothing any more
			close(turn[i+1])
		}, communicator.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if name := task.Handle().Name(); name != "goroutine" {
			t.Errorf("it is called %q", name)
		}
		tasks = append(tasks, task)
	}
	close(turn[0])
	looptest.Run(t, loop)
	if len(got) != 4 || got[0] != nil {
		t.Fatalf("the ends: %v", got)
	}
	wants(t, "the second", got[1], errTest)
	var panicked *worker.PanicError
	if !errors.As(got[2], &panicked) {
		t.Errorf("the third answers %v", got[2])
	}
	wants(t, "the third", got[2], errTest)
	wants(t, "the fourth", got[3], worker.ErrGoexit)
}

// TestGoCancel: it is told to end, and its end comes.
func TestGoCancel(t *testing.T) {
	loop, _ := looptest.New(t)
	calls := 0
	task, err := worker.Go(loop, func(ctx context.Context) error {
		_, err := obedient(ctx)
		return err
	}, func(err error) {
		calls++
		wants(t, "the end", err, context.Canceled)
	}, communicator.Options{Name: "companion"})
	if err != nil {
		t.Fatal(err)
	}
	must(t, loop.Post(task.Cancel))
	looptest.Run(t, loop)
	if calls != 1 || task.Handle().Active() || task.Handle().Name() != "companion" {
		t.Errorf("%d calls, %s is active: %v", calls, task.Handle().Name(), task.Handle().Active())
	}
}

// TestGoShutdown: the goroutine is told to end, and waited for.
func TestGoShutdown(t *testing.T) {
	loop, _ := looptest.New(t)
	calls := 0
	begun := make(chan struct{})
	_, err := worker.Go(loop, func(ctx context.Context) error {
		close(begun)
		_, err := obedient(ctx)
		wants(t, "the cause", err, context.Canceled)
		return errTest
	}, func(err error) {
		calls++
		wants(t, "the end", err, errTest)
	}, communicator.Options{})
	must(t, err)
	await(t, begun, "the goroutine to begin")
	must(t, loop.Post(func() { loop.Shutdown(looptest.Patience) }))
	looptest.Run(t, loop)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

// TestGoLoopEnds: nobody waits for it then.
func TestGoLoopEnds(t *testing.T) {
	loop, _ := looptest.New(t)
	g := newGate()
	calls := 0
	_, err := worker.Go(loop, func(ctx context.Context) error { _, err := g.wait(ctx); return err }, func(err error) {
		calls++
		wants(t, "the end", err, worker.ErrClosed, communicator.ErrClosed)
	}, communicator.Options{Background: true})
	must(t, err)
	looptest.Run(t, loop)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
	close(g.open)
}
