//go:build linux

package tcp_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// crowd counts those that are inside at once.
type crowd struct{ now, most, all atomic.Int32 }

func (c *crowd) enter() {
	c.all.Add(1)
	now := c.now.Add(1)
	for {
		most := c.most.Load()
		if now <= most || c.most.CompareAndSwap(most, now) {
			return
		}
	}
}

func (c *crowd) leave() { c.now.Add(-1) }

// TestMaxHandshakes: beyond the limit handshakes wait, and go on in the order in which they came; those
// who gave up meanwhile are left out.
func TestMaxHandshakes(t *testing.T) {
	names := make(chan string, 100)
	gate := make(chan struct{})
	r := serveTLS(t, service{
		shakes: tcp.HandshakeConfig{Max: 1},
		config: &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			names <- hello.ServerName
			<-gate
			return nil, nil
		}},
	})
	const clients = 10
	var shaken sync.WaitGroup
	var want []string
	for i := range clients {
		conn := plain(t, r.address)
		name := fmt.Sprintf("%d.example", i)
		if i != 5 {
			want = append(want, name)
		}
		shaken.Go(func() {
			_ = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: name}).Handshake()
		})
		r.until("the next to come", func() bool { _, begun := r.handshaking(); return begun == i+1 })
		if i == 5 {
			_ = conn.Close() // it is found out when its turn comes
		}
	}
	if first := looptest.Await(t, names, "the first"); first != want[0] || len(names) > 0 {
		t.Errorf("%q began first, and %d others beside it", first, len(names))
	}
	close(gate)
	shaken.Wait()
	got := want[:1:1]
	for range clients - 1 {
		got = append(got, looptest.Await(t, names, "the next"))
	}
	got = slices.DeleteFunc(got, func(name string) bool { return name == "5.example" })
	if !slices.Equal(got, want) {
		t.Errorf("they went on as %q, want %q", got, want)
	}
	r.until("the end of all", func() bool { all, _ := r.handshaking(); return all == 0 })
}

// TestWaitingTimesOut: the time in the queue counts, and who runs out of it makes room.
func TestWaitingTimesOut(t *testing.T) {
	r := serveTLS(t, service{shakes: tcp.HandshakeConfig{Max: 1, Timeout: 100 * time.Millisecond}})
	hello := helloOf(t)
	first := plain(t, r.address)
	_, _ = first.Write(hello[:1]) // it holds the only place
	r.until("the first", func() bool { _, begun := r.handshaking(); return begun == 1 })
	for range 20 {
		conn := plain(t, r.address)
		_, _ = conn.Write(hello[:1])
	}
	r.fails(21)
	r.goesOn()
}

// TestProcessors: no more compute at once than the limit says, on a server and among dialers that share a place, though
// more are under way.
func TestProcessors(t *testing.T) {
	for _, processors := range []int{1, 2} {
		t.Run(fmt.Sprint(processors), func(t *testing.T) {
			var servers, clients crowd
			limit := tcp.HandshakeConfig{Processors: processors}
			r := serveTLS(t, service{shakes: limit, config: &tls.Config{
				GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
					servers.enter()
					defer servers.leave()
					spin()
					return nil, nil
				},
			}})
			other := turn(t, communicator.Config{})
			config := r.client()
			config.VerifyConnection = func(tls.ConnectionState) error {
				clients.enter()
				defer clients.leave()
				spin()
				return nil
			}
			d := tcp.Dialer{Address: r.address, TLS: config, Handshakes: tcp.NewHandshakes(limit)}
			const n = 40
			var callers []*caller
			for range n {
				callers = append(callers, other.call(d))
			}
			for _, c := range callers {
				if err := c.outcome(); err != nil {
					t.Error(err)
				}
			}
			for name, c := range map[string]*crowd{"the server": &servers, "the dialers": &clients} {
				if most := c.most.Load(); most > int32(processors) || c.all.Load() != n {
					t.Errorf("%s: %d at once of %d, want %d at most of %d", name, most, c.all.Load(), processors, n)
				}
			}
			other.do(func() {
				if d.Handshakes.Done() != n || d.Handshakes.Failed() != 0 {
					t.Errorf("the dialers' place counts %d and %d", d.Handshakes.Done(), d.Handshakes.Failed())
				}
			})
		})
	}
}

// spin lets others have the processor for a while.
func spin() {
	for range 200 {
		runtime.Gosched()
	}
}

// TestSlowPeersHoldNoProcessor: who waits for its peer doesn't compute, so others go on.
func TestSlowPeersHoldNoProcessor(t *testing.T) {
	r := serveTLS(t, service{shakes: tcp.HandshakeConfig{Processors: 1}})
	hello := helloOf(t)
	for i := range 20 {
		conn := plain(t, r.address)
		if _, err := conn.Write(hello[:len(hello)*i/20+1]); err != nil {
			t.Fatal(err)
		}
	}
	r.until("all of them", func() bool { _, begun := r.handshaking(); return begun == 20 })
	r.goesOn()
}

// TestDialersMax: dialers that share a place wait for each other.
func TestDialersMax(t *testing.T) {
	var at crowd
	r := serveTLS(t, service{})
	other := turn(t, communicator.Config{})
	config := r.client()
	config.VerifyConnection = func(tls.ConnectionState) error {
		at.enter()
		defer at.leave()
		spin()
		return nil
	}
	d := tcp.Dialer{Address: r.address, TLS: config, Handshakes: tcp.NewHandshakes(tcp.HandshakeConfig{Max: 1, Processors: 8})}
	var callers []*caller
	for range 20 {
		callers = append(callers, other.call(d))
	}
	for _, c := range callers {
		if err := c.outcome(); err != nil {
			t.Error(err)
		}
	}
	if most := at.most.Load(); most != 1 {
		t.Errorf("%d at once, want 1", most)
	}
}

// TestCrowded: a peer that begins a handshake and doesn't go on keeps its place only as long as nobody else wants it.
func TestCrowded(t *testing.T) {
	r := serveTLS(t, service{shakes: tcp.HandshakeConfig{Max: 1, Timeout: looptest.Patience}})
	silent := plain(t, r.address)
	if _, err := silent.Write([]byte{22}); err != nil {
		t.Fatal(err)
	}
	r.until("the first to begin", func() bool { _, begun := r.handshaking(); return begun == 1 })
	r.goesOn()
	if err := r.failure(); !errors.Is(err, tcp.ErrCrowded) {
		t.Errorf("the failure is %v", err)
	}
	isOver(t, silent)
	if done, failed := r.counts(); done != 1 || failed != 1 {
		t.Errorf("%d done and %d failed, want 1 and 1", done, failed)
	}
}
