//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// A record has its number, from 0 on, a check sum of all the rest, and what fills it up.
const (
	sumAt      = 8
	fillingAt  = 12
	headerSize = fillingAt
)

// burst is how many bytes a callback sends before others have their turn.
const burst = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// side is one of the two ends of a connection, as its handler of records. Both send as many numbered records as there
// is room for, and check those that come. When that is over one of them asks, and the other sends back what it gets.
type side struct {
	size, batch  int
	count, trips uint64
	asks         bool
	filling      []byte
	opened       func() // nil: nobody wants to know
	closed       func()

	sent, received uint64
	begin, asked   time.Time
	figures        figures
	took           []time.Duration // each round trip
	closes         int             // has to become 1
	cause          error
}

// figures are what a side has seen.
type figures struct {
	Took       time.Duration // until all records of the other side's flood were there
	Flood, All shmconn.Stats // when the flood was over in both directions, and in the end
}

func newSide(o options) *side {
	s := &side{size: o.size, batch: o.batch, count: o.count, trips: o.trips()}
	s.filling = make([]byte, o.size+256)
	for i := range s.filling {
		s.filling[i] = byte(i * 7)
	}
	return s
}

// second is the second process. It tells the first one its figures on its standard output.
func second(loop *communicator.Communicator, o options) error {
	s := newSide(o)
	dialer := shmconn.Dialer{Path: o.peer, Ring: shmconn.Config{Spin: o.spin}}
	if _, err := shmconn.DialRecords(loop, dialer, s, shmconn.RecordConfig{}); err != nil {
		return err
	}
	if err := loop.Run(context.Background()); err != nil {
		return err
	}
	if s.cause != nil {
		return fmt.Errorf("the second process: %w", s.cause)
	}
	return json.NewEncoder(os.Stdout).Encode(s.figures)
}

// HandleOpen begins to send.
func (s *side) HandleOpen(c *shmconn.RecordConn) error {
	s.begin = time.Now()
	if s.opened != nil {
		s.opened()
	}
	return s.send(c)
}

// HandleRoom goes on, after a Reserve has found no room, or a burst.
func (s *side) HandleRoom(c *shmconn.RecordConn) error { return s.send(c) }

// send sends what is due.
func (s *side) send(c *shmconn.RecordConn) error {
	for n := 0; s.due(); n += s.size {
		if n >= burst {
			c.WantRoom() // others have their turn, then HandleRoom goes on
			return nil
		}
		room, err := c.Reserve(s.size)
		switch {
		case errors.Is(err, shmconn.ErrFull):
			return nil // HandleRoom goes on
		case err != nil:
			return err
		}
		s.write(room)
		if s.sent >= s.count {
			s.asked = time.Now()
		}
		s.sent++
		if s.sent < s.count && s.sent%uint64(s.batch) != 0 {
			err = c.Stage(s.size) // the other side sees it together with the last one of the batch
		} else {
			err = c.Commit(s.size)
		}
		if err != nil {
			return err
		}
		s.look(c)
	}
	return nil
}

// due tells whether there is a record to send: one of the flood, or then the next one when the last has come back.
func (s *side) due() bool {
	return s.sent < s.count || s.asks && s.sent == s.received && s.sent < s.count+s.trips
}

// HandleRecords takes what has come.
func (s *side) HandleRecords(c *shmconn.RecordConn) error {
	return shmconn.RecordFunc(s.take).HandleRecords(c)
}

// take takes one record. After ErrFull it gets the same one again.
func (s *side) take(c *shmconn.RecordConn, record []byte) error {
	if err := s.check(record); err != nil {
		return err
	}
	answer := s.received >= s.count // of a round trip
	if answer && !s.asks {
		if err := c.Send(record); err != nil {
			return err
		}
	}
	s.received++
	switch {
	case answer && s.asks:
		s.took = append(s.took, time.Since(s.asked))
		if s.received == s.count+s.trips {
			c.Close()
			return nil
		}
		return s.send(c)
	case s.received == s.count:
		s.figures.Took = time.Since(s.begin)
		s.look(c)
		if s.sent == s.count { // else it is under way
			return s.send(c)
		}
	}
	return nil
}

// look notes the figures of the flood when that is over in both directions.
func (s *side) look(c *shmconn.RecordConn) {
	if s.sent == s.count && s.received == s.count {
		s.figures.Flood = c.Transport().Stats()
	}
}

// HandleClose is called once, whatever happens.
func (s *side) HandleClose(c *shmconn.RecordConn, cause error) {
	s.closes++
	s.cause = cause
	if t := c.Transport(); t != nil {
		s.figures.All = t.Stats()
	}
	if s.closed != nil {
		s.closed()
	}
}

// judge tells what is wrong in the end: at the one that asks, when the other side was, or wasn't, killed.
func (s *side) judge(killed bool) error {
	switch {
	case s.closes != 1:
		return fmt.Errorf("the connection was closed %d times", s.closes)
	case killed && s.cause == nil:
		return errors.New("the connection was closed as if nothing had happened")
	case killed && !errors.Is(s.cause, shmconn.ErrPeerDied), !killed && s.cause != nil:
		return s.cause
	case !killed && s.received != s.count+s.trips:
		return fmt.Errorf("%d records have come instead of %d", s.received, s.count+s.trips)
	}
	return nil
}

// write writes the record that is sent next.
func (s *side) write(record []byte) {
	binary.NativeEndian.PutUint64(record, s.sent)
	copy(record[fillingAt:], s.filling[s.sent%256:])
	binary.NativeEndian.PutUint32(record[sumAt:], sum(record))
}

// check tells what is wrong with a record, which has to be the next one.
func (s *side) check(record []byte) error {
	if len(record) != s.size {
		return fmt.Errorf("record %d has %d bytes instead of %d", s.received, len(record), s.size)
	}
	if sum(record) != binary.NativeEndian.Uint32(record[sumAt:]) {
		return fmt.Errorf("record %d is damaged", s.received)
	}
	switch number := binary.NativeEndian.Uint64(record); {
	case number > s.received:
		return fmt.Errorf("record %d came instead of %d: records are lost or out of order", number, s.received)
	case number < s.received:
		return fmt.Errorf("record %d came instead of %d: records are doubled or out of order", number, s.received)
	}
	return nil
}

func sum(record []byte) uint32 {
	return crc32.Update(crc32.Checksum(record[:sumAt], castagnoli), castagnoli, record[fillingAt:])
}
