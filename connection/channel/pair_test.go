//go:build linux

package channel_test

import (
	"context"
	"errors"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestPairWithGoroutine: a goroutine asks, the loop answers.
func TestPairWithGoroutine(t *testing.T) {
	loop, _ := looptest.New(t)
	var p *channel.Pair[int, string]
	p, err := channel.NewPair[int, string](loop, func(v int) error { return p.Put(string(rune('a' + v))) }, channel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := patient(t)
	var got []string
	done := make(chan error, 1)
	go func() {
		for v := range 3 {
			if err := p.Inbox.Send(ctx, v); err != nil {
				done <- err
				return
			}
			answer, err := p.Outbox.Receive(ctx)
			if err != nil {
				done <- err
				return
			}
			got = append(got, answer)
		}
		p.Inbox.CloseSend()
		_, err := p.Outbox.Receive(ctx) // the loop ends
		done <- err
	}()
	looptest.Run(t, loop)
	wants(t, "the goroutine", looptest.Await(t, done, "the goroutine"), channel.ErrClosed)
	equal(t, "answers", got, []string{"a", "b", "c"})
}

// TestPairFails: the goroutine learns why from either end.
func TestPairFails(t *testing.T) {
	loop, log := looptest.New(t)
	p, err := channel.NewPair[int, int](loop, func(int) error { return errTest }, channel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	must(t, p.Put(1))
	must(t, p.Inbox.TrySend(1))
	looptest.Run(t, loop)
	wants(t, "TrySend", p.Inbox.TrySend(1), channel.ErrClosed, errTest)
	if v, err := p.Outbox.Receive(context.Background()); v != 1 || err != nil {
		t.Errorf("received %d, %v", v, err)
	}
	_, err = p.Outbox.Receive(context.Background())
	wants(t, "Receive", err, channel.ErrClosed, errTest)
	if p.Outbox.Handle().Active() || len(log.Records()) != 1 {
		t.Errorf("active %v, logged %q", p.Outbox.Handle().Active(), log.Records())
	}
}

// TestTwoLoops: each sends all it has as fast as the other takes it, neither waits for the other.
func TestTwoLoops(t *testing.T) {
	const values = 5000
	for _, capacity := range []int{1, 16, 0} {
		here, _ := looptest.New(t)
		there, _ := looptest.New(t)
		type side struct {
			pair *channel.Pair[int, int]
			next int
			got  []int
		}
		var a, b side
		put := func(s *side) error {
			for s.next < values {
				if err := s.pair.Put(s.next); err != nil {
					wants(t, "Put", err, channel.ErrFull)
					return nil
				}
				s.next++
			}
			if len(s.got) == values {
				s.pair.Close()
			}
			return nil
		}
		take := func(s *side) func(int) error {
			return func(v int) error {
				s.got = append(s.got, v)
				return put(s)
			}
		}
		config := func(s *side) channel.Config {
			return channel.Config{Capacity: capacity, Room: func() error { return put(s) }}
		}
		var err error
		if a.pair, err = channel.NewPair[int, int](here, take(&a), config(&a)); err != nil {
			t.Fatal(err)
		}
		must(t, put(&a)) // before the other joins
		if b.pair, err = channel.Join(a.pair, there, take(&b), config(&b)); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*channel.Pair[int, int]{a.pair, b.pair} {
			if _, err := channel.Join(p, there, take(&b), config(&b)); !errors.Is(err, channel.ErrJoined) {
				t.Errorf("Join once more: %v", err)
			}
		}
		must(t, there.Post(func() { must(t, put(&b)) }))
		wait := start(t, there)
		looptest.Run(t, here)
		must(t, wait())
		equal(t, "came here", a.got, numbers(values))
		equal(t, "came there", b.got, numbers(values))
	}
}

// TestOtherLoopEnds: this one handles what has arrived, and is not kept from ending.
func TestOtherLoopEnds(t *testing.T) {
	here, _ := looptest.New(t)
	there, _ := looptest.New(t)
	var got []int
	p, err := channel.NewPair[int, int](here, func(v int) error { got = append(got, v); return nil }, channel.Config{Capacity: 2})
	if err != nil {
		t.Fatal(err)
	}
	other, err := channel.Join(p, there, func(int) error { return nil }, channel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	must(t, other.Put(1))
	must(t, other.Put(2))
	must(t, p.Put(7))
	there.Stop(errTest)
	if err := there.Run(context.Background()); !errors.Is(err, errTest) {
		t.Error(err)
	}
	looptest.Run(t, here)
	equal(t, "came here", got, []int{1, 2})
	wants(t, "Put", p.Put(1), channel.ErrClosed, errTest)
	equal(t, "not handled there", other.Inbox.Drain(), []int{7})
}

// TestJoinFails: what has ended can't join; another loop still can.
func TestJoinFails(t *testing.T) {
	here, _ := looptest.New(t)
	there, _ := looptest.New(t)
	ended, _ := looptest.New(t)
	looptest.Run(t, ended)
	p, err := channel.NewPair[int, int](here, func(int) error { return nil }, channel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := func(int) error { return nil }
	if _, err := channel.Join(p, ended, f, channel.Config{}); err == nil || errors.Is(err, channel.ErrJoined) {
		t.Errorf("Join answers %v", err)
	}
	other, err := channel.Join(p, there, f, channel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	looptest.Run(t, there)
	looptest.Run(t, here) // nobody is at the other end any more
	wants(t, "Put", p.Put(1), channel.ErrClosed)
}
