//go:build linux

package conntest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

var permanentCases = []testCase{
	{"Ledger", testLedger},
	{"LedgerWithoutAcknowledgements", testLedgerWithoutAcknowledgements},
}

const (
	ledgerRestarts = 100
	ledgerWindow   = 50  // messages without an outcome
	ledgerMost     = 200 // messages that a server handles before it dies
)

// ledger is the books of both sides. Each message has a number.
type ledger struct {
	handled      []int // by the servers, in that order
	restarts     atomic.Int64
	sent         int
	acknowledged map[int]int
	undelivered  map[int]error
	failures     []string
}

// testLedger restarts a server a hundred times under load: every message is acknowledged exactly once, or reported
// as undelivered, and none is handled twice or out of order.
func testLedger(t *testing.T, env Env) {
	l := keepLedger(t, env, connection.PermanentConfig{
		Acknowledges: func(came, sent *message.Message) bool {
			return came.Command() == "ACK" && came.Get("number") == sent.Get("number")
		},
	})
	for n := 1; n <= l.sent; n++ {
		err := l.undelivered[n]
		if l.acknowledged[n] > 1 || (l.acknowledged[n] == 1) == (err != nil) {
			t.Errorf("message %d was acknowledged %d times, and reported as %v", n, l.acknowledged[n], err)
		}
		if err != nil && !errors.Is(err, connection.ErrInDoubt) {
			t.Errorf("message %d was reported as %v", n, err)
		}
	}
	if len(l.acknowledged) < ledgerRestarts || len(l.undelivered) == 0 {
		t.Errorf("%d messages were acknowledged and %d reported: that was no load", len(l.acknowledged), len(l.undelivered))
	}
	t.Logf("%d messages sent, %d handled, %d acknowledged, %d reported", l.sent, len(l.handled), len(l.acknowledged), len(l.undelivered))
}

// testLedgerWithoutAcknowledgements: what the kernel has taken may be lost, but nothing comes twice.
func testLedgerWithoutAcknowledgements(t *testing.T, env Env) {
	keepLedger(t, env, connection.PermanentConfig{})
}

// keepLedger runs the servers, one after the other, on a goroutine, and the client on this one.
func keepLedger(t *testing.T, env Env, config connection.PermanentConfig) *ledger {
	t.Helper()
	l := &ledger{acknowledged: map[int]int{}, undelivered: map[int]error{}}
	place := &place{known: make(chan struct{})}
	stop := make(chan struct{})
	wait := beside(t, func() error {
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in each run
		for range ledgerRestarts {
			if err := l.server(t, env, place, 1+random.IntN(ledgerMost), nil); err != nil {
				return err
			}
			l.restarts.Add(1)
		}
		return l.server(t, env, place, 0, stop)
	})
	looptest.Await(t, place.known, "the first server")
	l.client(t, place, config)
	close(stop)
	wait()
	for _, failure := range l.failures {
		t.Error(failure)
	}
	for i, n := range l.handled {
		if i > 0 && n <= l.handled[i-1] {
			t.Errorf("message %d was handled behind %d", n, l.handled[i-1])
		}
	}
	return l
}

// place is a dialer to where the server is at the moment.
type place struct {
	mu    sync.Mutex
	to    connection.Dialer
	known chan struct{} // closed when there is one
}

func (p *place) move(to connection.Dialer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to == nil {
		close(p.known)
	}
	p.to = to
}

// Dial dials it.
func (p *place) Dial(loop connection.Loop, done func(connection.Transport, error)) (cancel func(), err error) {
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	return to.Dial(loop, done)
}

// server acknowledges messages until it has handled so many, and dies on the spot: what it has received
// and not handled, and what it has answered and not sent, is lost. With none it runs until it is stopped.
func (l *ledger) server(t *testing.T, env Env, place *place, most int, stop <-chan struct{}) error {
	t.Helper()
	loop, _ := looptest.New(t)
	count := 0
	handler := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		n, err := message.GetInt[int](m, "number")
		if err != nil {
			return err
		}
		l.handled = append(l.handled, n)
		if err := from.Send(message.New("ACK").Set("number", m.Get("number"))); err != nil {
			return err
		}
		if count++; count == most {
			loop.Stop(nil)
		}
		return nil
	})
	serve := connection.Messages(handler, connection.MessageConfig{Closed: func(*connection.MessageConn, error) {}})
	place.move(env.Listen(t, loop, serve, false).Dialer)
	if stop != nil {
		go func() {
			<-stop
			loop.Stop(nil)
		}()
	}
	return loop.Run(context.Background())
}

// client sends messages until the servers have been restarted often enough, and returns when it has ended.
func (l *ledger) client(t *testing.T, d connection.Dialer, config connection.PermanentConfig) {
	t.Helper()
	loop, _ := looptest.New(t)
	var p *connection.Permanent
	goOn := func() {
		for l.restarts.Load() < ledgerRestarts && outstanding(p) < ledgerWindow {
			l.sent++
			err := p.Send(message.New("ORDER").Set("text", "and some more of it").Set("number", strconv.Itoa(l.sent)))
			if err != nil {
				l.failures = append(l.failures, err.Error())
				return
			}
		}
		if l.restarts.Load() >= ledgerRestarts {
			p.Close()
		}
	}
	later := func() { _ = loop.Post(goOn) }
	handler := message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		n, err := message.GetInt[int](m, "number")
		l.acknowledged[n]++
		later()
		return err
	})
	config.Message.Closed = func(*connection.MessageConn, error) {}
	config.Backoff = connection.Backoff{First: time.Millisecond, Max: 5 * time.Millisecond}
	config.OnUp = func(*connection.Permanent) error { later(); return nil }
	config.OnDown = func(*connection.Permanent, error) {}
	config.OnAttemptFailed = func(*connection.Permanent, error, time.Duration) {}
	config.Undelivered = func(_ *connection.Permanent, m *message.Message, err error) {
		n, _ := message.GetInt[int](m, "number")
		if l.undelivered[n] != nil {
			l.failures = append(l.failures, "reported twice: "+m.String())
		}
		l.undelivered[n] = err
		later()
	}
	config.Closed = func(_ *connection.Permanent, cause error) {
		if cause != nil {
			l.failures = append(l.failures, "ended with "+cause.Error())
		}
	}
	var err error
	if p, err = connection.NewPermanent(loop, d, handler, config); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
}

// outstanding is how many messages the client has not heard of.
func outstanding(p *connection.Permanent) int {
	waiting, inFlight := p.Queued()
	return waiting + inFlight
}
