//go:build linux

package connection

import "time"

// limits are a stream's limits of time and rate. A nil one limits nothing.
//
// The stream's handle has one deadline, which is the earliest of what is limited here or one before that: when it comes
// all are looked at. So what moves a limit to later, as every byte does that of an idle stream, is a note
// and no change of the loop's timers.
type limits struct {
	active    time.Time // when something has come or gone
	begun     time.Time // since when the handler leaves bytes unconsumed; zero: it leaves none
	readEnd   time.Time // SetReadDeadline
	closeEnd  time.Time // Close
	readAt    time.Time // reading goes on
	writeAt   time.Time // writing goes on
	readRate  bucket
	writeRate bucket
}

// limit gives the stream its limits, when the connection stands.
func (s *Stream) limit() {
	if s.limits == nil {
		s.limits = &limits{}
	}
	l := s.limits
	l.active = s.Loop().Now()
	l.readRate.fill(s.config.ReadRate, l.active)
	l.writeRate.fill(s.config.WriteRate, l.active)
	l.arm(s, l.idleEnd(s))
}

// SetReadDeadline closes the stream with ErrReadTimeout at t, if it still reads then. As that of a
// net.Conn it stays until it is set anew; the zero time clears it. One that passes while the stream
// doesn't read, because it is paused or its peer doesn't read, is forgotten.
func (s *Stream) SetReadDeadline(t time.Time) {
	if !s.handle.Active() || s.state&closing != 0 || s.limits == nil && t.IsZero() {
		return
	}
	if s.limits == nil {
		s.limits = &limits{}
	}
	s.limits.readEnd = t
	s.limits.arm(s, t)
}

// arm sees to it that the limits are looked at by t; not by a zero one.
func (l *limits) arm(s *Stream, t time.Time) {
	if t.IsZero() {
		return
	}
	if armed := s.handle.Deadline(); armed.IsZero() || t.Before(armed) {
		s.handle.SetDeadline(t)
	}
}

// due looks at all limits.
func (l *limits) due(s *Stream) error {
	now := time.Now()
	if passed(l.writeAt, now) {
		l.writeAt = time.Time{}
		s.state &^= writeSlowed
		s.update()
		s.writeOn()
	}
	if passed(l.readAt, now) {
		l.readAt = time.Time{}
		s.state &^= slowed
		s.update()
		s.handAgain()
	}
	if s.state&closing != 0 {
		if passed(l.closeEnd, now) {
			return s.closeTimedOut()
		}
	} else if err := l.overdue(s, now); err != nil {
		return err
	}
	for _, t := range []time.Time{l.writeAt, l.readAt, l.closeEnd, l.readEnd, l.idleEnd(s), l.frameEnd(s)} {
		l.arm(s, t)
	}
	return nil
}

// overdue is the error of a limit of time that has passed.
func (l *limits) overdue(s *Stream, now time.Time) error {
	if s.state&paused != 0 { // the user's time, not the peer's
		if !s.waits() {
			l.active = now
		}
		if !l.begun.IsZero() {
			l.begun = now
		}
	}
	switch {
	case passed(l.readEnd, now):
		if s.Reading() || s.state&slowed != 0 {
			return ErrReadTimeout
		}
		l.readEnd = time.Time{}
	case passed(l.idleEnd(s), now):
		if !s.waits() {
			_ = s.endWrite() // for a peer that wants to tell an end from a cut, as that of TLS
		}
		return ErrIdleTimeout
	case passed(l.frameEnd(s), now):
		if s.Reading() {
			return ErrReadTimeout
		}
		l.begun = now // the stream has something else to do than to read
	}
	return nil
}

func (l *limits) idleEnd(s *Stream) time.Time { return after(l.active, s.config.IdleTimeout) }

func (l *limits) frameEnd(s *Stream) time.Time { return after(l.begun, s.config.ReadTimeout) }

// after is the time d after t; zero if there is no such limit.
func after(t time.Time, d time.Duration) time.Time {
	if t.IsZero() || d <= 0 {
		return time.Time{}
	}
	return t.Add(d)
}

func passed(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// delivered notes how much the handler has consumed and left.
func (l *limits) delivered(s *Stream, consumed, left int) {
	switch {
	case s.config.ReadTimeout <= 0:
	case left == 0:
		l.begun = time.Time{}
	case consumed > 0, l.begun.IsZero():
		l.begun = s.Loop().Now()
		l.arm(s, l.frameEnd(s))
	}
}

// resumed lets the times go on that stood still.
func (l *limits) resumed(s *Stream) {
	if l == nil {
		return
	}
	now := s.Loop().Now()
	if !s.waits() {
		l.active = now
	}
	if !l.begun.IsZero() {
		l.begun = now
	}
}

// close limits the time of closing, and that alone.
func (l *limits) close(s *Stream, end time.Time) {
	l.closeEnd, l.readEnd, l.active, l.begun = end, time.Time{}, time.Time{}, time.Time{}
	l.arm(s, end)
}

// mayRead cuts p to what the rate allows. Of nothing the stream stops reading for a while.
func (l *limits) mayRead(s *Stream, p []byte) []byte {
	if l.readRate.rate == 0 {
		return p
	}
	n, next := l.readRate.room(s.Loop().Now())
	if n == 0 {
		l.readAt = next
		s.state |= slowed
		s.update()
		l.arm(s, next)
	}
	return p[:min(n, len(p))]
}

// mayWrite cuts p to what the rate allows. Of nothing the stream stops writing for a while.
func (l *limits) mayWrite(s *Stream, p []byte) []byte {
	if l.writeRate.rate == 0 {
		return p
	}
	n, next := l.writeRate.room(s.Loop().Now())
	if n == 0 {
		l.writeAt = next
		s.state |= writeSlowed
		l.arm(s, next)
	}
	return p[:min(n, len(p))]
}

func (l *limits) read(s *Stream, n int) {
	if n > 0 {
		l.moved(s)
		l.readRate.take(n)
	}
}

func (l *limits) wrote(s *Stream, n int) {
	if n > 0 {
		l.moved(s)
		l.writeRate.take(n)
	}
}

// moved notes that something has come or gone. A stream that closes has another limit.
func (l *limits) moved(s *Stream) {
	if s.state&closing == 0 {
		l.active = s.Loop().Now()
	}
}

// bucket is a token bucket: it fills with rate bytes a second up to a tenth of that, and what passes
// is taken from it. See Turner, "New directions in communications (or which way to the information
// age?)", 1986.
type bucket struct {
	rate   int // zero: no limit
	filled float64
	at     time.Time
}

// bucketTime is how much of a second a bucket holds. Nothing passes while it is less than half full, so
// that little that comes in all the time does not pass in tiny pieces: a stream that waits does so for a
// twentieth of a second.
const bucketTime = 100 * time.Millisecond

func (b *bucket) fill(rate int, now time.Time) {
	*b = bucket{rate: max(rate, 0), at: now}
	b.filled = b.most()
}

// most is what it holds: one byte at least.
func (b *bucket) most() float64 { return max(1, float64(b.rate)*bucketTime.Seconds()) }

// room is how many bytes may pass now; if none, when the next may.
func (b *bucket) room(now time.Time) (n int, next time.Time) {
	b.filled = min(b.most(), b.filled+now.Sub(b.at).Seconds()*float64(b.rate))
	b.at = now
	enough := max(1, b.most()/2)
	if b.filled >= enough {
		return int(b.filled), now
	}
	missing := enough - b.filled
	return 0, now.Add(time.Duration(missing / float64(b.rate) * float64(time.Second)))
}

func (b *bucket) take(n int) {
	if b.rate > 0 {
		b.filled -= float64(n)
	}
}
