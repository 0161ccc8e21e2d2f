//go:build linux

package connection

import (
	"log/slog"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// letter is a message on its way.
type letter struct {
	message *message.Message
	size    int
	until   time.Time // zero: valid for ever
	sent    time.Time
	cuts    int    // connections that have ended while it was being sent
	start   uint64 // where it begins in what its connection has written
}

func (l *letter) end() uint64 { return l.start + uint64(l.size) }

// outbox is what a Permanent has taken and not delivered: letters that wait for the connection, and those
// in flight, which were handed to it before.
type outbox struct {
	waiting letters
	flight  letters
	bytes   int       // of both
	expiry  time.Time // the earliest of those that wait; may be too early
	settled uint64    // how much of what the connection has written is known to be with the kernel
}

// letters is a queue.
type letters struct {
	list []letter
	gone int
}

func (q *letters) len() int { return len(q.list) - q.gone }

func (q *letters) all() []letter { return q.list[q.gone:] }

func (q *letters) push(l letter) {
	if q.gone > len(q.list)/2 {
		n := copy(q.list, q.all())
		clear(q.list[n:])
		q.list, q.gone = q.list[:n], 0
	}
	q.list = append(q.list, l)
}

func (q *letters) pop() letter {
	l := q.list[q.gone]
	q.list[q.gone] = letter{}
	if q.gone++; q.gone == len(q.list) {
		*q = letters{}
	}
	return l
}

// set makes the queue hold exactly these.
func (q *letters) set(list []letter) { *q = letters{list: list} }

func (o *outbox) len() int { return o.waiting.len() + o.flight.len() }

func (o *outbox) wait(l letter) {
	o.waiting.push(l)
	o.bytes += l.size
	o.expires(l)
}

func (o *outbox) expires(l letter) {
	if !l.until.IsZero() && (o.expiry.IsZero() || l.until.Before(o.expiry)) {
		o.expiry = l.until
	}
}

// expire takes out what has waited for too long.
func (o *outbox) expire(now time.Time) (expired []letter) {
	if !passed(o.expiry, now) {
		return nil
	}
	o.expiry = time.Time{}
	var left []letter
	for _, l := range o.waiting.all() {
		if passed(l.until, now) {
			expired = append(expired, l)
			o.bytes -= l.size
			continue
		}
		left = append(left, l)
		o.expires(l)
	}
	o.waiting.set(left)
	return expired
}

// acknowledged takes out the first letter in flight that is acknowledged by what came.
func (o *outbox) acknowledged(came *message.Message, acknowledges func(came, sent *message.Message) bool) bool {
	list := o.flight.all()
	for i := range list {
		if !acknowledges(came, list[i].message) {
			continue
		}
		o.bytes -= list[i].size
		if i == 0 {
			o.flight.pop()
		} else {
			copy(list[i:], list[i+1:])
			list[len(list)-1] = letter{}
			o.flight.list = o.flight.list[:len(o.flight.list)-1]
		}
		return true
	}
	return false
}

// empty takes out all, in the order of sending.
func (o *outbox) empty() []letter {
	all := append(append([]letter(nil), o.flight.all()...), o.waiting.all()...)
	*o = outbox{}
	return all
}

// mayPost tells whether the connection takes another message. While output waits for the peer none is
// handed to it: so what is lost with a connection, or has to be sent anew, is little.
func (p *Permanent) mayPost() bool {
	return p.Up() && p.handle.Active() && p.conn.stream.QueuedBytes() == 0 && p.conn.stream.handle.Active() && p.state&isOver == 0 &&
		(p.config.Acknowledges == nil || p.outbox.flight.len() < p.config.MaxInFlight)
}

// post hands a letter to the connection. It fails if that has just ended, or has no room for it.
func (p *Permanent) post(l letter, owned bool) bool {
	s := p.conn.stream
	if s.state&corking != 0 && len(*s.Loop().WriteBuffer())+l.size > s.config.MaxOutput {
		if err := s.writeCollected(); err != nil {
			s.handle.Remove(err)
			return false
		}
		if s.waits() {
			return false
		}
	}
	l.start, l.sent = s.Written(), p.handle.Loop().Now()
	if err := p.conn.Send(l.message); err != nil {
		return false
	}
	if p.config.Acknowledges == nil && s.Written() == s.sent && (s.state&keeping == 0 || s.transport.(keeper).Unsent() == 0) {
		return true // with the kernel
	}
	if !owned {
		l.message = l.message.Clone()
	}
	p.outbox.flight.push(l)
	p.outbox.bytes += l.size
	if p.config.AcknowledgeTimeout > 0 && p.outbox.flight.len() == 1 {
		p.schedule()
	}
	return true
}

// acknowledgeEnd is when the oldest message in flight has to be acknowledged; zero: never.
func (p *Permanent) acknowledgeEnd() time.Time {
	if p.config.Acknowledges == nil || !p.Up() || p.outbox.flight.len() == 0 {
		return time.Time{}
	}
	return after(p.outbox.flight.all()[0].sent, p.config.AcknowledgeTimeout)
}

// pump sends what waits, as much as the connection takes.
func (p *Permanent) pump() {
	if !p.mayPost() || p.outbox.waiting.len() == 0 {
		return
	}
	s := p.conn.stream
	if s.state&corking == 0 {
		s.cork()
		defer func() {
			s.uncork()
			p.settle()
		}()
	}
	p.report(p.outbox.expire(time.Now()), ErrExpired)
	for p.outbox.waiting.len() > 0 && p.mayPost() {
		if !p.post(p.outbox.waiting.all()[0], true) {
			return
		}
		p.outbox.bytes -= p.outbox.waiting.pop().size
	}
}

// settle forgets the letters in flight that are delivered, as far as anybody can know.
func (p *Permanent) settle() {
	if !p.Up() {
		return
	}
	o, s := &p.outbox, p.conn.stream
	if s.state&keeping == 0 || s.state&cutOff == 0 && s.transport.(keeper).Unsent() == 0 {
		o.settled = s.sent
	}
	if p.config.Acknowledges != nil {
		return
	}
	for o.flight.len() > 0 && o.flight.all()[0].end() <= o.settled {
		o.bytes -= o.flight.pop().size
	}
}

// reclaim is what becomes of the letters in flight when their connection has ended: those of which the
// kernel hasn't taken all wait again, the others are in doubt, unless the kernel's word is all there is.
func (p *Permanent) reclaim(c *MessageConn) (doubtful, refused []letter) {
	p.settle()
	o := &p.outbox
	var again []letter
	for _, l := range o.flight.all() {
		if l.end() > c.stream.sent {
			if l.start < c.stream.sent {
				l.cuts++
			}
			if l.cuts < maxCuts {
				again = append(again, l)
				o.expires(l)
				continue
			}
			refused = append(refused, l)
		} else {
			doubtful = append(doubtful, l)
		}
		o.bytes -= l.size
	}
	o.flight.set(nil)
	if again != nil {
		o.waiting.set(append(again, o.waiting.all()...))
	}
	return doubtful, refused
}

// maxCuts is how many connections may end in the middle of a message before it is given up: a peer that it
// is too long for would never get what is behind it.
const maxCuts = 5

// report tells of letters that were not delivered.
func (p *Permanent) report(list []letter, err error) {
	for _, l := range list {
		if p.config.Undelivered != nil {
			p.config.Undelivered(p, l.message, err)
			continue
		}
		p.reports.Log(p.handle.Loop().Logger(), slog.LevelWarn, "a message was not delivered",
			"connection", p.handle.Name(), "command", l.message.Command(), "error", err)
	}
}
