//go:build linux

package connection_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// ask makes a call that has to be answered by its own parameter.
func ask(tb testing.TB, b *connection.Blocking, i int) {
	tb.Helper()
	reply, err := b.Call(patient(tb), message.New("ASK").SetInt("i", int64(i)))
	if err != nil {
		tb.Errorf("call %d: %v", i, err)
	} else if want := fmt.Sprintf("ECHO i=%d", i); reply.String() != want {
		tb.Errorf("call %d was answered by %q", i, reply)
	}
}

// TestBlockingCalls: calls of one goroutine and of many, over every kind of connection, on one connection.
func TestBlockingCalls(t *testing.T) {
	everyKind(t, func(t *testing.T, makes func(context.Context) (io.ReadWriteCloser, io.ReadWriteCloser, error)) {
		b, f := newFar(t, makes, connection.BlockingConfig{}, echoes)
		for i := range 10 {
			ask(t, b, i)
		}
		var wg sync.WaitGroup
		for g := range 20 {
			wg.Go(func() {
				for i := range 10 {
					ask(t, b, 100*g+i)
				}
			})
		}
		wg.Wait()
		if n := f.dialled(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// TestBlockingEnds: a context that ends, and Close, end a call wherever it is; the next one has a new
// connection, or ErrClosed.
func TestBlockingEnds(t *testing.T) {
	everyKind(t, func(t *testing.T, makes func(context.Context) (io.ReadWriteCloser, io.ReadWriteCloser, error)) {
		for _, place := range []string{"turn", "dialling", "writing", "waiting"} {
			for _, closes := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s close %v", place, closes), func(t *testing.T) { testBlockingEnd(t, makes, place, closes) })
			}
		}
	})
}

func testBlockingEnd(t *testing.T, makes func(context.Context) (io.ReadWriteCloser, io.ReadWriteCloser, error), place string, closes bool) {
	reached := make(chan struct{}, 1)
	first := true
	b, _ := newFar(t, func(ctx context.Context) (io.ReadWriteCloser, io.ReadWriteCloser, error) {
		if place == "dialling" && first {
			first = false
			reached <- struct{}{}
			<-ctx.Done()
			return nil, nil, fmt.Errorf("dial: %w", ctx.Err())
		}
		return makes(ctx)
	}, connection.BlockingConfig{}, func(n int, conn *end) {
		if n > 1 || place == "dialling" {
			echoes(n, conn)
			return
		}
		_, _ = io.ReadFull(conn, make([]byte, 1)) // a call is under way
		reached <- struct{}{}
		if place == "waiting" || place == "turn" {
			silent(n, conn)
		} else {
			deaf(n, conn)
		}
	})
	ctx, cancel := context.WithCancelCause(patient(t))
	request := message.New("ASK")
	if place == "writing" {
		request = large("ASK", 4<<20)
	}
	outcomes := make(chan error, 2)
	go func() {
		_, err := b.Call(ctx, request)
		outcomes <- err
	}()
	looptest.Await(t, reached, "the call")
	want, calls := errTest, 1
	if place == "turn" { // of a second call, which waits for that of the first one
		go func() {
			if closes {
				_, err := b.Call(patient(t), request)
				outcomes <- err
			} else {
				outcomes <- b.Send(soon(t), request)
			}
		}()
		if !closes {
			if err := looptest.Await(t, outcomes, "the second call"); !errors.Is(err, errTest) || !errors.Is(err, connection.ErrNotSent) {
				t.Errorf("the second call: %v", err)
			}
		}
	}
	if closes {
		want = connection.ErrClosed
		if place == "turn" {
			calls = 2
		}
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	} else {
		cancel(errTest)
	}
	unsent := 0
	for range calls {
		err := looptest.Await(t, outcomes, "the call's end")
		if !errors.Is(err, want) {
			t.Errorf("the call: %v, want %v", err, want)
		}
		if errors.Is(err, connection.ErrNotSent) {
			unsent++
		}
	}
	if sent := calls - unsent; sent != 1 && place != "dialling" || sent != 0 && place == "dialling" {
		t.Errorf("%d of %d calls were not sent", unsent, calls)
	}
	cancel(nil)
	if !closes {
		ask(t, b, 7)
		return
	}
	if _, err := b.Call(patient(t), request); !errors.Is(err, net.ErrClosed) || !errors.Is(err, connection.ErrNotSent) {
		t.Errorf("a call after Close: %v", err)
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestBlockingEndedContext: a call whose context has ended sends nothing, and does no harm to the connection.
func TestBlockingEndedContext(t *testing.T) {
	b, f := newFar(t, socketpairs, connection.BlockingConfig{}, echoes)
	ask(t, b, 1)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errTest)
	for range 50 {
		if err := b.Send(ctx, message.New("ASK").SetInt("i", 99)); !errors.Is(err, errTest) {
			t.Errorf("Send: %v", err)
		}
	}
	ask(t, b, 2)
	if n := f.dialled(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestBlockingLateReply: the reply of a call that was given up is never taken for that of the next one.
func TestBlockingLateReply(t *testing.T) {
	late := make(chan struct{})
	b, f := newFar(t, socketpairs, connection.BlockingConfig{}, func(n int, conn *end) {
		if n == 1 {
			_, _ = bufio.NewReader(conn).ReadString('\n')
			<-late
			_, _ = io.WriteString(conn, "ECHO i=666\n")
			return
		}
		close(late)
		echoes(n, conn)
	})
	if _, err := b.Call(soon(t), message.New("ASK").SetInt("i", 1)); !errors.Is(err, errTest) {
		t.Errorf("Call: %v", err)
	}
	for i := range 5 {
		ask(t, b, i)
	}
	if n := f.dialled(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestBlockingRaces: contexts that end at about the time when the reply comes.
func TestBlockingRaces(t *testing.T) {
	var cancel atomic.Pointer[context.CancelCauseFunc] // of the call whose turn it is
	b, _ := newFar(t, socketpairs, connection.BlockingConfig{}, func(_ int, conn *end) {
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			if end := cancel.Swap(nil); end != nil {
				go (*end)(errTest)
			}
			if _, err := io.WriteString(conn, strings.Replace(lines.Text(), "ASK", "ECHO", 1)+"\n"); err != nil {
				return
			}
		}
	})
	for i := range 300 {
		ctx, end := context.WithCancelCause(context.Background())
		cancel.Store(&end)
		reply, err := b.Call(ctx, message.New("ASK").SetInt("i", int64(i)))
		switch {
		case err == nil && reply.String() != fmt.Sprintf("ECHO i=%d", i):
			t.Errorf("call %d was answered by %q", i, reply)
		case err != nil && (reply != nil || !errors.Is(err, errTest)):
			t.Errorf("call %d: %v, %v", i, reply, err)
		}
		end(nil)
	}
	ask(t, b, 1)
}

// TestBlockingPeerEnds: the peer's end is an error of the call, which is not repeated; the next one dials.
func TestBlockingPeerEnds(t *testing.T) {
	everyKind(t, func(t *testing.T, makes func(context.Context) (io.ReadWriteCloser, io.ReadWriteCloser, error)) {
		var mu sync.Mutex
		var asked []string
		b, f := newFar(t, makes, connection.BlockingConfig{}, func(n int, conn *end) {
			if n > 2 {
				echoes(n, conn)
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, line)
			if n == 2 {
				_, _ = io.WriteString(conn, "ECHO i=") // half a line is none
			}
		})
		for i := range 2 {
			if _, err := b.Call(patient(t), message.New("ASK").SetInt("i", int64(i))); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, connection.ErrNotSent) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		ask(t, b, 2)
		mu.Lock()
		defer mu.Unlock()
		if n := f.dialled(); n != 3 || !slices.Equal(asked, []string{"ASK i=0\n", "ASK i=1\n"}) {
			t.Errorf("%d connections; the peers were asked %q", n, asked)
		}
	})
}

// TestBlockingDialFails: an error of dialling is the call's, and the next call dials again.
func TestBlockingDialFails(t *testing.T) {
	dials := 0
	b, _ := newFar(t, func(ctx context.Context) (io.ReadWriteCloser, io.ReadWriteCloser, error) {
		if dials++; dials < 3 {
			return nil, nil, errTest
		}
		return socketpairs(ctx)
	}, connection.BlockingConfig{}, echoes)
	for range 2 {
		if reply, err := b.Call(patient(t), message.New("ASK")); !errors.Is(err, errTest) || !errors.Is(err, connection.ErrNotSent) || reply != nil {
			t.Errorf("Call: %v, %v", reply, err)
		}
	}
	ask(t, b, 3)
}

// TestBlockingCloseBeforeUse: a client that was never used has nothing to close.
func TestBlockingCloseBeforeUse(t *testing.T) {
	b := connection.NewBlocking(func(context.Context) (io.ReadWriteCloser, error) {
		t.Error("dialled")
		return nil, errTest
	}, connection.BlockingConfig{})
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Send(patient(t), message.New("ASK")); !errors.Is(err, connection.ErrClosed) {
		t.Errorf("Send: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic for a nil dial function")
		}
	}()
	connection.NewBlocking(nil, connection.BlockingConfig{})
}
