//go:build linux

// Package conntest is the one suite of tests that every stream transport passes: what package connection
// promises has to hold on TCP, on Unix sockets and on whatever comes later.
//
// A transport's tests hand over how its connections are made:
//
//	func TestConnections(t *testing.T) { conntest.Run(t, conntest.Env{Listen: ..., Nowhere: ..., Stuck: ...}) }
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

// Env makes connections of one kind of transport.
type Env struct {
	// Listen listens at an address of its own choice and lets serve have each connection. With small, the
	// kernel's buffers of the connections are small on both sides, so that little output fills them. It is
	// called before the loop runs.
	Listen func(tb testing.TB, loop connection.Loop, serve connection.Serve, small bool) Endpoint
	// Nowhere makes a dialer to a place where nobody listens: ECONNREFUSED.
	Nowhere func(tb testing.TB) connection.Dialer
	// Stuck makes a dialer, with that time limit, to a place that neither takes a connection nor refuses it.
	Stuck func(tb testing.TB, timeout time.Duration) connection.Dialer
}

// Endpoint is where Env.Listen listens.
type Endpoint struct {
	Listener *connection.Listener
	// Dialer makes connections to it on a loop.
	Dialer connection.Dialer
	// Peer makes a blocking connection to it. It has a method CloseWrite() error.
	Peer func() (net.Conn, error)
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
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
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
