//go:build linux

// Package conntest is the one suite of tests that every stream transport passes: what package connection
// promises has to hold on TCP, on Unix sockets and on whatever comes later.
//
// A transport's tests hand over how its connections are made:
//
//	func TestConnections(t *testing.T) { conntest.Run(t, conntest.Env{Listen: ...}) }
//
// It is for tests only. What is particular to a transport, such as its addresses and options, is tested in
// that transport's package.
package conntest

import (
	"net"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

// Env makes connections of one kind of transport, and says what that kind lacks. What needs it is not run then.
type Env struct {
	// Listen listens at an address of its own choice and lets serve have each connection. With small, the
	// kernel's buffers of the connections are small on both sides, so that little output fills them. It is
	// called before the loop runs. For a transport that has no listeners there is Queue.
	Listen func(tb testing.TB, loop connection.Loop, serve connection.Serve, small bool) Endpoint
	// Nowhere makes a dialer to a place where nobody listens: ECONNREFUSED. Nil: there is no such place.
	Nowhere func(tb testing.TB) connection.Dialer
	// Stuck makes a dialer, with that time limit, to a place that neither takes a connection nor refuses it. Nil: there
	// is no such place, dialling never waits.
	Stuck func(tb testing.TB, timeout time.Duration) connection.Dialer
	// NoReset is why a peer that goes away with data unread looks like one that ends its side. Empty: it doesn't, reading
	// fails with ECONNRESET.
	NoReset string
	// NoAddresses is why connections have no addresses that tell them apart. Empty: they have.
	NoAddresses string
	// Late is why serve gets a connection some time after it was accepted, when others have been too. Empty: it gets it
	// at once.
	Late string
	// Sources is how many sources a stream is in the loop. Zero: one.
	Sources int
	// Background is how many of them are in the background, listed before the stream, with a priority of their own.
	Background int
	// Room is how many bytes can be on their way to the peer, if so few that a loop is called again and again for a text.
	// Zero: many.
	Room int
	// Allocations is how many allocations an echo may cost, both sides together. Zero: none.
	Allocations float64
	// IdleBytes is how much memory an idle stream may keep, beyond what any may. Zero: none.
	IdleBytes int64
}

// Endpoint is where Env.Listen listens.
type Endpoint struct {
	Listener *connection.Listener
	// Dialer makes connections to it on a loop.
	Dialer connection.Dialer
	// Peer makes a blocking connection to it. It has a method CloseWrite() error.
	Peer func() (net.Conn, error)
}

// sources is how many sources there are with that many streams and a listener.
func (e *Env) sources(streams int) int { return 1 + streams*max(1, e.Sources) }

// runs tells whether a case is for that kind of transport.
func (e *Env) runs(name string) bool {
	switch name {
	case "Dial/Refused":
		return e.Nowhere != nil
	case "Dial/Timeout", "Dial/Cancel", "Dial/CancelWithOutput", "Dial/LoopEnds", "Dial/Listing", "Shutdown/Dialling":
		return e.Stuck != nil
	case "Loop/CloseListener":
		return e.Late == ""
	case "Bytes/Reset":
		return e.NoReset == ""
	}
	return true
}

// Run runs the suite.
func Run(t *testing.T, env Env) {
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"Bytes", bytesCases},
		{"Limits", limitCases},
		{"Close", closeCases},
		{"Callbacks", callbackCases},
		{"Pause", pauseCases},
		{"Dial", dialCases},
		{"Split", splitCases},
		{"Messages", messageCases},
		{"Loop", loopCases},
		{"Chunks", chunkCases},
		{"Times", timeCases},
		{"Rates", rateCases},
		{"Shutdown", shutdownCases},
		{"Edges", edgeCases},
		{"Permanent", permanentCases},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				if !env.runs(group.name + "/" + c.name) {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					fdtest.Check(t)
					c.run(t, env)
				})
			}
		})
	}
}

type testCase struct {
	name string
	run  func(t *testing.T, env Env)
}
