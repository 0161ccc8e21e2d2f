package ring_test

import (
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// operation is what a side does, or, between two operations, where it is.
type operation uint8

const (
	writerReady operation = iota
	writerBlocked
	writerGone

	writing
	staging
	publishing
	trying
	draining
	hearing // of room
	ending

	readerPending // there is something to read, or to say about the end
	readerServing
	readerServed
	readerBlocked
	readerStopped
	readerFinished

	waking
	serving
	taking
	releasing
	releasingOthers
	releasingAsleep
	releasingStopped
	asking // for the end
	sleeping
	stopping
)

func (o operation) String() string {
	return strings.Fields("ready blocked gone write stage publish try drain hear end" +
		" pending serving served blocked stopped finished wake serve next release others release release ended sleep stop")[o]
}

type writerState struct {
	next, shown, freed, rung, waits, want uint8
	number                                uint8 // how many records were written
	tried, drained                        bool
}

type readerState struct {
	next, last, freed, seen, rung, sleeps uint8
	number, held                          uint8 // how many records were read, and given back
	some                                  bool  // Next was called
	none                                  bool  // it has had no more
	rest                                  bool  // the last record is still in use
}

func newMachine(w world) *machine {
	m := &machine{world: w}
	m.doing[reader] = readerPending
	m.bells = [2]bool{true, true} // an epoll set tells of a new descriptor once
	data := strings.Repeat("x", w.capacity)
	at := func(at uint8) word { return word{m, at} }
	m.w = modelWriter{
		published: at(atPublished), waiting: at(atWaiting), ended: at(atEnded),
		released: at(atReleased), asleep: at(atAsleep), data: data,
	}
	m.r = modelReader{
		released: at(atReleased), asleep: at(atAsleep),
		published: at(atPublished), waiting: at(atWaiting), ended: at(atEnded), data: data,
	}
	return m
}

// load brings a side to where it was at the beginning of its operation, and keep keeps where it is at the end of one.
func (m *machine) load(side int) {
	if s := m.state.writer; side == writer {
		m.w.next, m.w.shown, m.w.freed = uint64(s.next), uint64(s.shown), uint64(s.freed)
		m.w.rung, m.w.waits, m.w.want = uint64(s.rung), uint64(s.waits), int(s.want)
		return
	}
	s := m.state.reader
	m.r.next, m.r.last, m.r.freed = uint64(s.next), uint64(s.last), uint64(s.freed)
	m.r.seen, m.r.rung, m.r.sleeps = uint64(s.seen), uint64(s.rung), uint64(s.sleeps)
	m.r.held = int(s.number - s.held)
}

func (m *machine) keep(side int) {
	if s := &m.state.writer; side == writer {
		s.next, s.shown, s.freed = uint8(m.w.next), uint8(m.w.shown), uint8(m.w.freed)
		s.rung, s.waits, s.want = uint8(m.w.rung), uint8(m.w.waits), uint8(m.w.want)
		return
	}
	s := &m.state.reader
	s.next, s.last, s.freed = uint8(m.r.next), uint8(m.r.last), uint8(m.r.freed)
	s.seen, s.rung, s.sleeps = uint8(m.r.seen), uint8(m.r.rung), uint8(m.r.sleeps)
}

// choices are the operations that a side may begin now, or the one that it has begun.
func (m *machine) choices(side int, s *state) []operation {
	if s.seen[side].n > 0 {
		return []operation{s.doing[side]}
	}
	if side == writer {
		return m.writerChoices(s)
	}
	return m.readerChoices(s)
}

func (m *machine) writerChoices(s *state) (all []operation) {
	w := &s.writer
	switch s.doing[writer] {
	case writerReady:
		if w.next != w.shown {
			all = append(all, publishing)
		}
		switch {
		case m.drain > 0 && int(w.number) >= m.drain && !w.drained:
			return append(all, draining)
		case int(w.number) < len(m.sizes):
			if m.stages {
				all = append(all, staging)
			}
			return append(all, writing)
		}
		return append(all, ending)
	case writerBlocked:
		if s.bells[writer] {
			all = append(all, hearing)
		}
		if m.try > 0 && !w.tried && int(w.number) < len(m.sizes) {
			all = append(all, trying)
		}
	}
	return all
}

func (m *machine) readerChoices(s *state) (all []operation) {
	r := &s.reader
	switch s.doing[reader] {
	case readerPending:
		return []operation{serving}
	case readerServing:
		if !r.none {
			all = append(all, taking)
		}
		if !r.some {
			return all
		}
		if r.rest {
			all = append(all, releasingOthers)
		}
		if m.holds {
			all = append(all, sleeping, stopping)
		}
		return append(all, releasing)
	case readerServed:
		all = append(all, sleeping)
		if r.none {
			all = append(all, asking)
		}
		if m.stops {
			all = append(all, stopping)
		}
	case readerBlocked:
		if s.bells[reader] {
			all = append(all, waking)
		}
		if m.holds && r.freed != r.next {
			all = append(all, releasingAsleep)
		}
	case readerStopped:
		if m.holds && r.freed != r.next {
			all = append(all, releasingStopped)
		}
	}
	return all
}

// run runs the operation of a side from its beginning, until it has ended or is suspended, and returns where it
// has come to.
func (m *machine) run(side int) operation {
	work := m.runWriter
	if side == reader {
		work = m.runReader
	}
	next, err := work()
	if err != nil {
		m.breaks("%v", err)
	}
	return next
}

// answer takes note of a bell.
func (m *machine) answer() {
	if _, ok := m.again(); !ok {
		m.bells[m.side] = false
		m.note(0)
	}
}

// runWriter is how Transport.Write, RecordConn.Reserve, Commit, Stage and room use a Writer.
func (m *machine) runWriter() (operation, error) {
	w, c, s := &m.w, &m.code, &m.state.writer
	switch doing := m.doing[writer]; doing {
	case writing, staging:
		if m.stream {
			c.waited(w)
		}
		reserved, err := m.reserve(m.sizes[s.number], s.number)
		if err != nil || !reserved {
			return m.lacking(err)
		}
		if doing == writing {
			m.ring(c.publish(w))
		}
		s.number++
	case publishing:
		m.ring(c.publish(w))
	case trying:
		reserved, err := m.reserve(m.try, s.number)
		if err != nil || !reserved {
			return m.lacking(err)
		}
		m.ring(c.publish(w))
		s.number++
		s.tried = true
		return writerBlocked, nil
	case draining:
		if err := w.look(); err != nil || w.freed != w.next {
			w.Lack(w.next)
			return m.lacking(err)
		}
		s.drained = true
	case hearing:
		m.answer()
		if m.stream {
			return writerReady, nil
		}
		c.waited(w)
		return waited(c.wait(w))
	case ending:
		m.ring(c.end(w, ring.EndOrderly))
		return writerGone, nil
	}
	return writerReady, nil
}

func waited(room bool, err error) (operation, error) {
	if room {
		return writerReady, err
	}
	return writerBlocked, err
}

// lacking is what follows when there is no room.
func (m *machine) lacking(err error) (operation, error) {
	if err != nil {
		return writerReady, err
	}
	if m.w.Unpublished() { // or the peer couldn't make room
		m.ring(m.code.publish(&m.w))
	}
	return waited(m.code.wait(&m.w))
}

// reserve is Writer.Reserve and Commit, of a record that has size bytes with its head.
func (m *machine) reserve(need int, number uint8) (bool, error) {
	w := &m.w
	at := int(w.next) & (len(w.data) - 1)
	pad := 0
	if rest := len(w.data) - at; rest < need {
		pad = rest
	}
	if free, err := w.free(pad + need); err != nil || free < pad+need {
		w.want = pad + need
		return false, err
	}
	if pad > 0 {
		m.put(w.next, pad, padNumber)
		w.next += uint64(pad)
	}
	m.put(w.next, need, number)
	w.next += uint64(need)
	return true, nil
}

// runReader is how Transport.Read and sleep, and recordSource and RecordConn use a Reader.
func (m *machine) runReader() (operation, error) {
	r, c, s := &m.r, &m.code, &m.state.reader
	switch m.doing[reader] {
	case waking:
		m.answer()
		return readerPending, nil
	case serving:
		c.awake(r)
		if err := r.Look(); err != nil || r.seen == r.next {
			return m.askEnd(err)
		}
		s.some, s.none, s.rest = false, false, false
		return readerServing, nil
	case taking:
		number, ok, err := m.next()
		switch {
		case err != nil:
		case !ok:
			s.none, s.rest = true, false
		case number != s.number:
			m.breaks("reads record %d instead of %d", number, s.number)
		default:
			s.number++
			s.rest = true
		}
		s.some = true
		return readerServing, err
	case releasing:
		return readerServed, m.release(false)
	case releasingAsleep:
		return readerBlocked, m.release(false)
	case releasingStopped:
		return readerStopped, m.release(c.nowStopped)
	case releasingOthers:
		m.intact(r.freed, r.last, s.held)
		r.ReleaseOthers()
		m.ring(c.wakes(r, false))
		s.held = s.number - 1
		return readerPending, nil
	case asking:
		return m.askEnd(nil)
	case sleeping:
		if r.More() {
			return readerPending, nil
		}
		m.ring(c.wakes(r, c.nowAsleep))
		if c.sleep(r) {
			return readerPending, nil
		}
		return readerBlocked, nil
	case stopping:
		m.ring(c.wakes(r, c.nowStopping))
		return readerStopped, nil
	}
	panic("the reader does what it can't")
}

// release is Reader.Release and Wakes.
func (m *machine) release(now bool) error {
	m.intact(m.r.freed, m.r.next, m.state.reader.held)
	m.ring(m.code.released(&m.code, &m.r, now))
	m.state.reader.held = m.state.reader.number
	return nil
}

// askEnd looks for the end.
func (m *machine) askEnd(err error) (operation, error) {
	if err != nil {
		return readerServed, err
	}
	how, err := m.code.ended(&m.r)
	if err != nil || how == 0 {
		m.state.reader.none = false // it isn't asked twice
		return readerServed, err
	}
	if s := &m.state.reader; int(s.number) != len(m.sizes) {
		m.breaks("comes to the end with %d records of %d", s.number, len(m.sizes))
	}
	return readerFinished, nil
}

// next is Reader.Next.
func (m *machine) next() (number uint8, ok bool, err error) {
	r := &m.r
	for {
		if r.next == r.seen {
			if err := r.Look(); err != nil || r.next == r.seen {
				return 0, false, err
			}
		}
		size, number := m.get(r.next)
		if size == 0 || uint64(size) > r.seen-r.next {
			m.breaks("reads a record of %d bytes where there are %d", size, r.seen-r.next)
		}
		r.last = r.next
		r.next += uint64(size)
		if number != padNumber {
			return number, true, nil
		}
	}
}

// check says what must not be between two operations: that a side sleeps though there is something for it, and its bell
// hasn't been rung. The other side may do nothing more for ever.
func (m *machine) check() {
	s := &m.state
	between := func(side int) bool { return s.seen[side].n == 0 }
	sleeps := func(side int, blocked operation) bool {
		return between(side) && s.doing[side] == blocked && !s.bells[side]
	}
	if sleeps(reader, readerBlocked) && between(writer) {
		m.side = reader
		if s.memory[atPublished] != s.reader.next {
			m.breaks("sleeps, and there is something to read")
		}
		if s.memory[atEnded] != 0 {
			m.breaks("sleeps, and the writer has ended")
		}
	}
	resting := s.doing[reader] == readerStopped || s.doing[reader] == readerFinished || sleeps(reader, readerBlocked)
	if sleeps(writer, writerBlocked) && between(reader) && resting {
		m.side = writer
		if used := int(s.writer.next - s.memory[atReleased]); m.capacity-used >= int(s.writer.want) {
			m.breaks("sleeps, and there is the room that it wants")
		}
	}
}
