//go:build linux

package channel_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/channel"
)

// A goroutine sends, the loop handles.
func ExampleInbox() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	inbox, err := channel.NewInbox(loop, func(line string) error {
		fmt.Println("got", line)
		return nil
	}, channel.Config{})
	if err != nil {
		panic(err)
	}
	go func() {
		defer inbox.CloseSend() // then the loop ends, for nothing else is in it
		for _, line := range []string{"one", "two", "three"} {
			if err := inbox.Send(context.Background(), line); err != nil {
				panic(err)
			}
		}
	}()
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output:
	// got one
	// got two
	// got three
}

// The loop puts values out, goroutines receive them; it goes on when there is room again.
func ExampleOutbox() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	var outbox *channel.Outbox[int]
	next := 1
	put := func() error {
		for ; next <= 5; next++ {
			if errors.Is(outbox.Put(next), channel.ErrFull) {
				return nil // Room is called when it is not
			}
		}
		outbox.Close()
		return nil
	}
	outbox, err = channel.NewOutbox[int](loop, channel.Config{Capacity: 2, Room: put})
	if err != nil {
		panic(err)
	}
	if err := loop.Post(func() { _ = put() }); err != nil {
		panic(err)
	}
	received := make(chan int)
	go func() {
		sum := 0
		for v := range outbox.All(context.Background()) {
			sum += v
		}
		received <- sum
	}()
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println("the sum is", <-received)
	// Output: the sum is 15
}

// A goroutine asks, the loop answers.
func ExampleNewPair() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	var pair *channel.Pair[int, string]
	pair, err = channel.NewPair[int, string](loop, func(question int) error {
		return pair.Put(fmt.Sprintf("the square of %d is %d", question, question*question))
	}, channel.Config{})
	if err != nil {
		panic(err)
	}
	go func() {
		ctx := context.Background()
		for question := range 3 {
			if err := pair.Inbox.Send(ctx, question); err != nil {
				panic(err)
			}
			answer, err := pair.Outbox.Receive(ctx)
			if err != nil {
				panic(err)
			}
			fmt.Println(answer)
		}
		pair.Inbox.CloseSend() // then the loop ends
	}()
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output:
	// the square of 0 is 0
	// the square of 1 is 1
	// the square of 2 is 4
}

// A loop asks another, which answers.
func ExampleJoin() {
	front, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	back, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	var asking *channel.Pair[string, int]
	asking, err = channel.NewPair[string, int](front, func(answer string) error {
		fmt.Println(answer)
		asking.Close() // both loops have nothing left then
		return nil
	}, channel.Config{})
	if err != nil {
		panic(err)
	}
	var answering *channel.Pair[int, string]
	answering, err = channel.Join(asking, back, func(question int) error {
		return answering.Put(fmt.Sprintf("the square of %d is %d", question, question*question))
	}, channel.Config{})
	if err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- back.Run(context.Background()) }()

	if err := asking.Put(12); err != nil {
		panic(err)
	}
	if err := front.Run(context.Background()); err != nil {
		panic(err)
	}
	if err := <-ended; err != nil {
		panic(err)
	}
	// Output: the square of 12 is 144
}
