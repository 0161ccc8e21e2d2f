//go:build linux

package timer_test

import (
	"context"
	"fmt"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

func ExampleAfter() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	_, err = timer.After(loop, time.Millisecond, func(*timer.Timer) error {
		fmt.Println("the tea is ready")
		return nil
	}, communicator.Options{Name: "tea"})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil { // until nothing is left
		panic(err)
	}
	// Output: the tea is ready
}

func ExampleEvery() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	beats := 0
	_, err = timer.Every(loop, time.Millisecond, func(t *timer.Timer, missed int) error {
		beats++
		fmt.Println("beat", beats)
		if beats == 3 {
			t.Stop()
		}
		return nil
	}, communicator.Options{Name: "heart"})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output:
	// beat 1
	// beat 2
	// beat 3
}

func ExampleAt() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	date := time.Now().Add(time.Millisecond) // by the wall clock, whatever happens to it
	_, err = timer.At(loop, date, func(t *timer.Timer) error {
		fmt.Println("on time:", t.Due().Equal(date))
		return nil
	}, communicator.Options{Name: "new year"})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output: on time: true
}

// A time-out for each of many sessions: the entry is a field of the session, so that it costs no allocation.
func ExampleSet() {
	type session struct {
		name    string
		timeout timer.Entry
	}
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	timeouts, err := timer.NewSet(loop, communicator.Options{Name: "session time-outs"})
	if err != nil {
		panic(err)
	}
	var sessions []*session
	for i, name := range []string{"Ada", "Grace", "Margaret"} {
		s := &session{name: name}
		timeouts.Start(&s.timeout, time.Duration(i+1)*time.Millisecond, func(*timer.Entry) {
			fmt.Println(s.name, "has timed out")
		})
		sessions = append(sessions, s)
	}
	sessions[0].timeout.Stop()                       // ended in time
	sessions[1].timeout.Reset(10 * time.Millisecond) // has said something
	fmt.Println(timeouts.Len(), "sessions")
	if err := loop.Run(context.Background()); err != nil { // until no timer is left
		panic(err)
	}
	// Output:
	// 2 sessions
	// Margaret has timed out
	// Grace has timed out
}
