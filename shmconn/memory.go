//go:build linux

package shmconn

import (
	"errors"
	"fmt"
	"math"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// side is what one side of a connection brings: the area that it writes, and the bell that it listens to.
type side struct {
	area      []byte // mapped
	memory    int    // its descriptor; none when it was mapped by the other side
	bell      int
	maxRecord int
}

// The seals of an area: its owner, who has mapped it already, is the only one to write to it, and its pages stay.
const areaSeals = sys.SealShrink | sys.SealGrow | sys.SealFutureWrite | sys.SealSeal

// The seals of a record's memory: nobody writes to it any more.
const recordSeals = sys.SealShrink | sys.SealGrow | sys.SealWrite | sys.SealSeal

// newSide makes what this side brings, but for its area.
func newSide() (*side, error) {
	s := &side{memory: sys.NoFD}
	var err error
	s.bell, err = sys.NewDoorbell()
	return s, err
}

// makeArea makes the area of a side.
func (s *side) makeArea(capacity int) (err error) {
	size := ring.Size(capacity)
	if s.memory, err = sys.MemFD("ring", size); err != nil {
		return err
	}
	if s.area, err = sys.MapShared(s.memory, size, true); err != nil {
		return err
	}
	return sys.Seal(s.memory, areaSeals)
}

// hello is what this side says of itself, and the descriptors that go with it.
func (s *side) hello(config Config) (wire.Packet, []int) {
	return wire.Packet{
		Kind: wire.Hello, First: uint64(len(s.area) - ring.HeaderSize), Second: uint64(config.MaxRecord), Third: uint64(config.MaxCapacity),
	}, []int{s.memory, s.bell}
}

// fitting is the capacity of this side's ring: no more than the peer maps.
func fitting(config Config, peer wire.Packet) int {
	capacity := config.Capacity
	for peer.Third >= MinCapacity && uint64(capacity) > peer.Third {
		capacity /= 2
	}
	return capacity
}

// peerSide takes what the peer brings, and owns the descriptors that have come, also after an error.
func peerSide(p wire.Packet, fds []int, own *side, config Config) (*side, error) {
	s := &side{memory: sys.NoFD, bell: sys.NoFD}
	if len(fds) != 2 {
		sys.Discard(fds)
		return nil, fmt.Errorf("%w: it comes with %d descriptors", ErrForeign, len(fds))
	}
	s.memory, s.bell = fds[0], fds[1]
	err := s.accept(p, own, config)
	if err == nil {
		err = s.forgetMemory()
	}
	if err != nil {
		sys.Discard([]int{s.memory, s.bell})
		s.memory, s.bell = sys.NoFD, sys.NoFD
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *side) accept(p wire.Packet, own *side, config Config) error {
	if p.First > uint64(config.MaxCapacity) || p.First < MinCapacity || ring.CheckCapacity(int(p.First)) != nil {
		return fmt.Errorf("%w: the peer's has %d bytes", ErrCapacity, p.First)
	}
	s.maxRecord = int(min(p.Second, math.MaxInt))
	size := ring.Size(int(p.First))
	if err := checkMemory(s.memory, int64(size), areaSeals); err != nil {
		return err
	}
	if err := sys.CheckDoorbell(s.bell, own.bell); err != nil {
		return fmt.Errorf("%w: its bell is no eventfd: %w", ErrForeign, err)
	}
	var err error
	s.area, err = sys.MapShared(s.memory, size, false)
	return err
}

// checkMemory tells whether the memory of a peer is as it has to be, so that touching it is safe for ever.
func checkMemory(fd int, size int64, seals int) error {
	m, err := sys.MemoryOf(fd)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrMemory, err)
	case m.Seals&seals != seals:
		return fmt.Errorf("%w: it has the seals %#x and needs %#x", ErrMemory, m.Seals, seals)
	case m.Size != size:
		return fmt.Errorf("%w: it has %d bytes and should have %d", ErrMemory, m.Size, size)
	case !m.Whole:
		return fmt.Errorf("%w: it lacks pages", ErrMemory)
	}
	return nil
}

// forgetMemory closes the descriptor of the memory, which is mapped.
func (s *side) forgetMemory() error {
	if s.memory == sys.NoFD {
		return nil
	}
	fd := s.memory
	s.memory = sys.NoFD
	return sys.Close(fd)
}

// close gives everything back.
func (s *side) close() error {
	if s == nil {
		return nil
	}
	return errors.Join(s.forgetMemory(), s.closeBell(), s.unmap())
}

func (s *side) closeBell() error {
	if s.bell == sys.NoFD {
		return nil
	}
	fd := s.bell
	s.bell = sys.NoFD
	return sys.Close(fd)
}

func (s *side) unmap() error {
	area := s.area
	s.area = nil
	return sys.Unmap(area)
}
