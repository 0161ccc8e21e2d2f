//go:build linux

package shmconn_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// The records of these tests are known by their number: it says how long one is and what is in it.
//
//	0  number    64 bits
//	8  checksum  32 bits, of the number and what follows
//	12 filling
const numberedHead = 12

// numberedLength is how long the record of that number is: most are short, some as long as the ring takes, and
// of large every 61st has memory of its own.
func numberedLength(number uint64, large bool) int {
	r := rand.New(rand.NewPCG(number, 7))
	switch {
	case large && number%61 == 60:
		return killCapacity/4 + r.IntN(2*killCapacity)
	case number%13 == 12:
		return numberedHead + r.IntN(killCapacity/4-8-numberedHead+1)
	}
	return numberedHead + r.IntN(100)
}

// putNumbered writes the record of that number, which is as long as p.
func putNumbered(p []byte, number uint64) {
	binary.LittleEndian.PutUint64(p, number)
	for i := numberedHead; i < len(p); i++ {
		p[i] = byte(number) + byte(i)
	}
	binary.LittleEndian.PutUint32(p[8:], numberedSum(p))
}

func numberedSum(p []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(p[:8]), crc32.IEEETable, p[numberedHead:])
}

// checkNumbered tells whether p is the whole record of that number.
func checkNumbered(p []byte, number uint64, large bool) error {
	switch want := numberedLength(number, large); {
	case len(p) != want:
		return fmt.Errorf("record %d has %d bytes instead of %d", number, len(p), want)
	case binary.LittleEndian.Uint64(p) != number:
		return fmt.Errorf("record %d comes instead of %d", binary.LittleEndian.Uint64(p), number)
	case binary.LittleEndian.Uint32(p[8:]) != numberedSum(p):
		return fmt.Errorf("record %d is not whole", number)
	}
	return nil
}

// recordSender sends numbered records for as long as there is room.
type recordSender struct {
	sent  uint64
	count func(sent uint64) // called for what the peer can see for sure
}

// batchOf is how many records are published together in every other stretch of as many.
const batchOf = 8

func (s *recordSender) send(c *shmconn.RecordConn) error {
	for {
		n := numberedLength(s.sent, true)
		room, err := c.Reserve(n)
		if errors.Is(err, shmconn.ErrFull) { // which publishes
			s.count(s.sent)
			return nil
		}
		if err != nil {
			return err
		}
		putNumbered(room[:n], s.sent)
		end := c.Commit
		if s.sent/batchOf%2 == 1 && s.sent%batchOf != batchOf-1 {
			end = c.Stage
		}
		if err := end(n); err != nil {
			return err
		}
		s.sent++
		if s.sent/batchOf%2 == 0 || s.sent%batchOf == 0 {
			s.count(s.sent)
		}
	}
}

// recordPeer is what the process that is going to be killed does: it sends, or echoes.
type recordPeer struct {
	echoes bool
	pauses bool // and neither reads nor writes
	sender recordSender
}

func (p *recordPeer) HandleOpen(c *shmconn.RecordConn) error {
	if p.pauses {
		c.Pause()
		return nil
	}
	return p.HandleRoom(c)
}

func (p *recordPeer) HandleRoom(c *shmconn.RecordConn) error {
	if p.echoes {
		return nil
	}
	return p.sender.send(c)
}

func (p *recordPeer) HandleRecords(c *shmconn.RecordConn) error {
	return shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
		if err := c.Send(record); err != nil {
			return err
		}
		p.sender.sent++
		p.sender.count(p.sender.sent)
		return nil
	}).HandleRecords(c)
}

// recordSurvivor is the side that lives on.
type recordSurvivor struct {
	*killSession
	sender *recordSender // nil: it only receives
}

func (s *recordSurvivor) HandleOpen(c *shmconn.RecordConn) error {
	s.begin(c)
	return s.HandleRoom(c)
}

// HandleRoom sends, until the peer has gone: what that has sent is still to be read then.
func (s *recordSurvivor) HandleRoom(c *shmconn.RecordConn) error {
	if s.sender == nil {
		return nil
	}
	err := s.sender.send(c)
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

func (s *recordSurvivor) HandleRecords(c *shmconn.RecordConn) error {
	defer c.Release()
	for !s.paused {
		record, ok := c.Next()
		if !ok {
			break
		}
		if err := checkNumbered(record, s.received, true); err != nil {
			return err
		}
		s.came()
	}
	return nil
}

func (s *recordSurvivor) HandleClose(_ *shmconn.RecordConn, cause error) { s.closed(cause) }

// streamSender sends numbered records as a stream, each behind its length, whenever all before has gone.
type streamSender struct {
	next  uint64
	buf   []byte
	count func(sent uint64)
}

func (s *streamSender) send(c *connection.Stream) error {
	for c.QueuedBytes() == 0 {
		s.buf = s.buf[:0]
		for range 1 + s.next%7 {
			s.buf = appendFramed(s.buf, s.next)
			s.next++
		}
		if _, err := c.Write(s.buf); err != nil {
			return err
		}
		s.count(c.Sent())
	}
	return nil
}

func appendFramed(b []byte, number uint64) []byte {
	n := numberedLength(number, false)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	from := len(b)
	b = append(b, make([]byte, n)...)
	putNumbered(b[from:], number)
	return b
}

// streamPeer is what the process that is going to be killed does: it sends, or echoes.
type streamPeer struct {
	echoes bool
	pauses bool
	sender streamSender
}

func (p *streamPeer) HandleOpen(c *connection.Stream) error {
	if p.pauses {
		c.Pause()
		return nil
	}
	return p.HandleDrain(c)
}

func (p *streamPeer) HandleDrain(c *connection.Stream) error {
	p.sender.count(c.Sent())
	if p.echoes {
		return nil
	}
	return p.sender.send(c)
}

func (p *streamPeer) HandleData(c *connection.Stream, data []byte) (int, error) {
	n, err := c.Write(data)
	p.sender.count(c.Sent())
	return n, err
}

// streamSurvivor is the side that lives on.
type streamSurvivor struct {
	*killSession
	sender *streamSender // nil: it only receives
	want   []byte
}

func (s *streamSurvivor) HandleOpen(c *connection.Stream) error {
	s.begin(c)
	return s.HandleDrain(c)
}

func (s *streamSurvivor) HandleDrain(c *connection.Stream) error {
	if s.sender == nil {
		return nil
	}
	return s.sender.send(c)
}

func (s *streamSurvivor) HandleData(_ *connection.Stream, data []byte) (consumed int, err error) {
	for !s.paused && consumed < len(data) {
		rest := data[consumed:]
		s.want = appendFramed(s.want[:0], s.received)
		n := min(len(rest), len(s.want))
		if !bytes.Equal(rest[:n], s.want[:n]) {
			return 0, fmt.Errorf("record %d is not whole", s.received)
		}
		if n < len(s.want) {
			break
		}
		consumed += n
		s.came()
	}
	return consumed, nil
}

func (s *streamSurvivor) HandleClose(c *connection.Stream, cause error) {
	s.bytes = c.Received()
	s.closed(cause)
}

var (
	_ shmconn.RecordOpenHandler  = (*recordSurvivor)(nil)
	_ shmconn.RoomHandler        = (*recordSurvivor)(nil)
	_ shmconn.RecordCloseHandler = (*recordSurvivor)(nil)
	_ connection.OpenHandler     = (*streamSurvivor)(nil)
	_ connection.DrainHandler    = (*streamSurvivor)(nil)
	_ connection.CloseHandler    = (*streamSurvivor)(nil)
)
