package message

import (
	"maps"
	"strings"
	"sync"
)

// maxCovered is how many commands a Coverage tells apart in each direction: peers choose the names.
const maxCovered = 1000

// Coverage counts the messages that went through, by command, so that a test can tell which of a service's messages it
// has never seen. A dispatcher.Mux counts what it receives, a connection what it sends, if they are given one.
//
// The zero Coverage is ready. It may be used by several goroutines at once, and must not be copied. A nil *Coverage
// counts nothing.
type Coverage struct {
	lock     sync.Mutex
	received map[string]uint64
	sent     map[string]uint64
}

// AddReceived counts a received message.
func (c *Coverage) AddReceived(m *Message) {
	if c != nil {
		c.lock.Lock()
		count(&c.received, m.command)
		c.lock.Unlock()
	}
}

// AddSent counts a sent message.
func (c *Coverage) AddSent(m *Message) {
	if c != nil {
		c.lock.Lock()
		count(&c.sent, m.command)
		c.lock.Unlock()
	}
}

func count(counts *map[string]uint64, command string) {
	if *counts == nil {
		*counts = map[string]uint64{}
	}
	n, known := (*counts)[command]
	switch {
	case known:
	case len(*counts) < maxCovered:
		command = strings.Clone(command) // or the whole text of the message stays
	default:
		command, n = "", (*counts)[""]
	}
	(*counts)[command] = n + 1
}

// Received returns how often each command was received. Beyond a thousand commands the others are counted together,
// under "".
func (c *Coverage) Received() map[string]uint64 { return c.snapshot(true) }

// Sent returns how often each command was sent, as Received does.
func (c *Coverage) Sent() map[string]uint64 { return c.snapshot(false) }

func (c *Coverage) snapshot(received bool) map[string]uint64 {
	if c == nil {
		return nil
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if received {
		return maps.Clone(c.received)
	}
	return maps.Clone(c.sent)
}
