package message_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestCoverage(t *testing.T) {
	var c message.Coverage
	if len(c.Received()) != 0 || len(c.Sent()) != 0 {
		t.Errorf("at first %v, %v", c.Received(), c.Sent())
	}
	ping, pong := message.New("PING"), message.New("PONG")
	c.AddReceived(ping)
	c.AddReceived(ping.Clone())
	c.AddSent(ping)
	c.AddSent(pong)

	received := c.Received()
	if want := map[string]uint64{"PING": 2}; !maps.Equal(received, want) {
		t.Errorf("received %v, want %v", received, want)
	}
	sent := c.Sent()
	if want := map[string]uint64{"PING": 1, "PONG": 1}; !maps.Equal(sent, want) {
		t.Errorf("sent %v, want %v", sent, want)
	}

	received["PING"], sent["PING"] = 99, 99
	c.AddReceived(pong)
	if got := c.Received(); got["PING"] != 2 || got["PONG"] != 1 || len(received) != 1 {
		t.Errorf("what was returned before is not a copy: %v, %v", received, got)
	}
	if got := c.Sent(); got["PING"] != 1 {
		t.Errorf("what was returned before is not a copy: %v, %v", sent, got)
	}
}

func TestNilCoverage(t *testing.T) {
	var c *message.Coverage
	c.AddReceived(message.New("PING"))
	c.AddSent(message.New("PING"))
	if c.Received() != nil || c.Sent() != nil {
		t.Errorf("got %v, %v", c.Received(), c.Sent())
	}
}

// TestCoverageIsBounded: a peer that makes up commands can't fill the memory.
func TestCoverageIsBounded(t *testing.T) {
	const told, more = 1000, 50
	for name, direction := range map[string]struct {
		add func(c *message.Coverage, m *message.Message)
		all func(c *message.Coverage) map[string]uint64
	}{
		"received": {(*message.Coverage).AddReceived, (*message.Coverage).Received},
		"sent":     {(*message.Coverage).AddSent, (*message.Coverage).Sent},
	} {
		var c message.Coverage
		for i := range told + more {
			direction.add(&c, message.New(fmt.Sprint("C", i)))
		}
		direction.add(&c, message.New("C0")) // one of those that are told apart
		got := direction.all(&c)
		if len(got) != told+1 || got["C0"] != 2 || got["C999"] != 1 || got["C1000"] != 0 || got[""] != more {
			t.Errorf("%s: %d commands, C0 %d, C999 %d, C1000 %d, others %d",
				name, len(got), got["C0"], got["C999"], got["C1000"], got[""])
		}
	}
}

func TestCoverageInParallel(t *testing.T) {
	const goroutines, each = 8, 500
	var c message.Coverage
	var group sync.WaitGroup
	for i := range goroutines {
		group.Go(func() {
			own := message.New(fmt.Sprint("C", i))
			for range each {
				c.AddReceived(own)
				c.AddSent(message.New("ALL"))
				c.Received()["C"]++ // a copy
				c.Sent()["C"]++
			}
		})
	}
	group.Wait()
	if got := c.Sent(); got["ALL"] != goroutines*each {
		t.Errorf("sent %v", got)
	}
	for i := range goroutines {
		if got := c.Received(); got[fmt.Sprint("C", i)] != each || len(got) != goroutines {
			t.Errorf("received %v", got)
		}
	}
}
