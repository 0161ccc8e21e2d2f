//go:build linux

package tcp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// TestReusePort: two loops that listen on one port both get connections.
func TestReusePort(t *testing.T) {
	fdtest.Check(t)
	address := "127.0.0.1:0"
	served := make(chan int, 1)
	var ended sync.WaitGroup
	var listeners []*connection.Listener
	for i := range 2 {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		l, err := tcp.Listen(loop, address, func(_ connection.Loop, transport connection.Transport) error {
			served <- i
			return transport.Close()
		}, tcp.ListenConfig{ReusePort: true})
		if err != nil {
			t.Fatal(err)
		}
		address = l.Addr().String()
		listeners = append(listeners, l)
		ended.Go(func() {
			if err := loop.Run(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	var counts [2]int
	for n := 0; (counts[0] == 0 || counts[1] == 0) && n < 1000; n++ {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		counts[looptest.Await(t, served, "a connection")]++
		_ = conn.Close()
	}
	if counts[0] == 0 || counts[1] == 0 {
		t.Errorf("the loops got %v connections", counts)
	}
	for _, l := range listeners {
		looptest.Do(t, l.Handle().Loop(), l.Close)
	}
	ended.Wait()
}

// TestReusePortOfBoth: an address is shared only if both want to.
func TestReusePortOfBoth(t *testing.T) {
	for _, shared := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		first, err := tcp.Listen(loop, "127.0.0.1:0", refuse, tcp.ListenConfig{ReusePort: shared[0]})
		if err != nil {
			t.Fatal(err)
		}
		_, err = tcp.Listen(loop, first.Addr().String(), refuse, tcp.ListenConfig{ReusePort: shared[1]})
		if want := shared[0] && shared[1]; (err == nil) != want || err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%v: %v", shared, err)
		}
	}
}

// TestListenAtOnceAfterClose: a port is free as soon as its listener is closed, with connections that live on.
func TestListenAtOnceAfterClose(t *testing.T) {
	fdtest.Check(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	var second *connection.Listener
	var first *connection.Listener
	first, err := tcp.Listen(loop, "127.0.0.1:0", connection.Streams(&client{}, connection.StreamConfig{}), tcp.ListenConfig{
		Listener: connection.ListenConfig{Closed: func(*connection.Listener, error) {
			var err error
			if second, err = tcp.Listen(loop, first.Addr().String(), refuse, tcp.ListenConfig{}); err != nil {
				t.Error(err)
				loop.Stop(nil)
				return
			}
			second.Close()
			loop.Stop(nil)
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	address := first.Addr().String()
	c := &client{open: func(*connection.Stream) { first.Close() }}
	if _, err := connection.DialStream(loop, tcp.Dialer{Address: address}, c, connection.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if second == nil {
		t.Errorf("not listened on again: %v", c.cause)
	}
}

// One loop a core, each with a listener of its own on the same address. The kernel spreads the connections.
func ExampleListenConfig_reusePort() {
	const loops = 2 // runtime.NumCPU() in a service
	echo := connection.DataFunc(func(s *connection.Stream, data []byte) (consumed int, err error) {
		return s.Write(data)
	})
	address := "127.0.0.1:0" // ":4040" in a service
	var running sync.WaitGroup
	var all []*communicator.Communicator
	for range loops {
		loop, err := communicator.New(communicator.Config{})
		if err != nil {
			fmt.Println(err)
			return
		}
		listener, err := tcp.Listen(loop, address, connection.Streams(echo, connection.StreamConfig{}), tcp.ListenConfig{ReusePort: true})
		if err != nil {
			fmt.Println(err)
			return
		}
		address = listener.Addr().String() // the port that was chosen for the first
		all = append(all, loop)
		running.Go(func() {
			if err := loop.Run(context.Background()); err != nil {
				fmt.Println(err)
			}
		})
	}
	for range 10 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Fprint(conn, "hi")
		if _, err := io.ReadFull(conn, make([]byte, 2)); err != nil {
			fmt.Println(err)
		}
		conn.Close()
	}
	for _, loop := range all {
		loop.Stop(nil)
	}
	running.Wait()
	fmt.Println("10 connections served")
	// Output: 10 connections served
}
