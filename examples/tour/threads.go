//go:build linux

package main

import (
	"context"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// posts lets another goroutine ask the loop for something, and wait for the answer.
func (t *tour) posts(message.Handler) error {
	r := t.row("Do from another goroutine", 500)
	_, err := worker.Go(t.loop, func(ctx context.Context) error {
		for range r.want {
			asked := time.Now()
			err := t.loop.Do(ctx, func() error {
				t.saw(r, time.Since(asked))
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}, t.mustNotFail, communicator.Options{Name: "asker"})
	return err
}

// mustNotFail ends the tour when a goroutine of it has failed.
func (t *tour) mustNotFail(err error) {
	if err != nil {
		t.loop.Stop(err)
	}
}

// pair lets the loop and a goroutine send each other values, and shows how long one takes there and back.
func (t *tour) pair(message.Handler) error {
	r := t.row("value to a goroutine and back", 500)
	var p *channel.Pair[time.Time, time.Time]
	p, err := channel.NewPair[time.Time, time.Time](t.loop, func(sent time.Time) error {
		t.saw(r, time.Since(sent))
		if r.done() {
			p.Close()
			return nil
		}
		return p.Put(time.Now())
	}, channel.Config{})
	if err != nil {
		return err
	}
	done := t.row("goroutine's end", 1)
	_, err = worker.Go(t.loop, func(ctx context.Context) error {
		for sent := range p.Outbox.All(ctx) {
			if err := p.Inbox.Send(ctx, sent); err != nil {
				return err
			}
		}
		return nil
	}, func(err error) {
		t.mustNotFail(err)
		t.saw(done, 0)
	}, communicator.Options{Name: "partner"})
	if err != nil {
		return err
	}
	return p.Put(time.Now())
}

// pool lets a few goroutines work, and takes what comes out in the order in which it is finished.
func (t *tour) pool(message.Handler) error {
	r := t.row("work of a pool, there and back", 200)
	pool, err := worker.NewPool(t.loop, worker.Config{})
	if err != nil {
		return err
	}
	for range r.want {
		begin := time.Now()
		_, err := worker.Do(pool, func(context.Context) (int, error) { return 42, nil }, func(answer int, err error) {
			t.mustNotFail(err)
			if answer == 42 {
				t.saw(r, time.Since(begin))
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
