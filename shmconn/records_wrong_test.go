//go:build linux

package shmconn_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// isRefused holds that an error is the refusal of the peer, with that reason.
func isRefused(t *testing.T, err error, reason string) {
	t.Helper()
	var refused *shmconn.RefusedError
	if !errors.As(err, &refused) || refused.Reason != reason {
		t.Errorf("%v; want that the peer refuses: %s", err, reason)
	}
}

// greetedPeer is the dialling side of a connection that stands, and does what it likes.
type greetedPeer struct {
	socket, bell int // the bell of the other side
	area         []byte
	out          *ring.Writer
	large        uint64 // how many records with memory of their own were sent
}

const greetedCapacity = 4 * tiny

func greetsRaw(t *testing.T, path string) *greetedPeer {
	t.Helper()
	memory, area := newArea(t, greetedCapacity)
	hello := wire.Packet{Kind: wire.Hello, First: greetedCapacity, Second: 1 << 20}
	fd := rawDial(t, path)
	(&greeting{packet: hello.Append(nil), fds: []int{memory, newBell(t)}}).send(t, fd)
	theirs, bell, capacity := hears(t, fd)
	p := &greetedPeer{socket: fd, bell: bell, area: area}
	peer, err := sys.MapShared(theirs, ring.Size(capacity), false)
	if err == nil {
		t.Cleanup(func() { _ = sys.Unmap(peer) })
		p.out, _, err = ring.New(area, peer)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *greetedPeer) put(t *testing.T, record []byte, kind uint32) {
	t.Helper()
	room, err := p.out.Reserve(len(record))
	if room == nil || !p.out.Commit(copy(room, record), kind) {
		t.Fatalf("no room for %d bytes, %v", len(record), err)
	}
}

func (p *greetedPeer) record(t *testing.T, record []byte) { p.put(t, record, ring.KindData) }

func (p *greetedPeer) publish(t *testing.T) {
	t.Helper()
	p.out.Publish()
	must(t, sys.RingDoorbell(p.bell))
}

// sendLarge sends memory for a record of its own, sealed like that, without telling of it in the ring.
func (p *greetedPeer) sendLarge(t *testing.T, size, seals int) {
	t.Helper()
	fd := newMemory(t, size, seals)
	p.large++
	packet := wire.Packet{Kind: wire.Large, First: p.large, Second: uint64(size)}
	if _, err := sys.SendMsg(p.socket, packet.Append(nil), nil, []int{fd}); err != nil {
		t.Error(err)
	}
}

// sendRecord does both.
func (p *greetedPeer) sendRecord(t *testing.T, size, seals int) {
	t.Helper()
	p.sendLarge(t, size, seals)
	words := binary.NativeEndian.AppendUint64(nil, p.large)
	p.put(t, binary.NativeEndian.AppendUint64(words, uint64(size)), ring.KindUser)
}

// TestWrongRecords: what a peer does wrong ends the connection with an error that says so, and the peer is told, too.
func TestWrongRecords(t *testing.T) {
	const mostRecord, sealed = 3000, unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	holds := make(chan bool, shmconn.MaxLarge)
	hoard := func(c *shmconn.RecordConn) error {
		for _, ok := c.Next(); ok; _, ok = c.Next() {
			holds <- true
		}
		return nil
	}
	for name, tt := range map[string]struct {
		records func(c *shmconn.RecordConn) error
		do      func(t *testing.T, p *greetedPeer)
		got     int
		cause   error
		reason  wire.Reason
	}{
		"a corrupt ring": {
			do: func(t *testing.T, p *greetedPeer) {
				p.record(t, []byte("right"))
				p.record(t, []byte("wrong"))
				binary.NativeEndian.PutUint64(p.area[ring.HeaderSize+16:], 1<<20) // its length
			},
			got: 1, cause: shmconn.ErrCorrupt, reason: wire.BadRing,
		},
		"a kind that nobody knows": {
			do:    func(t *testing.T, p *greetedPeer) { p.put(t, []byte("wrong"), ring.KindUser+1) },
			cause: shmconn.ErrCorrupt, reason: wire.BadRing,
		},
		"a piece of a stream": {
			do:    func(t *testing.T, p *greetedPeer) { p.put(t, []byte("wrong"), ring.KindPiece) },
			cause: shmconn.ErrMismatch, reason: wire.WantsRecords,
		},
		"a record longer than is taken": {
			do: func(t *testing.T, p *greetedPeer) {
				p.record(t, make([]byte, mostRecord))
				p.record(t, make([]byte, mostRecord+1))
			},
			got: 1, cause: shmconn.ErrTooLong, reason: wire.BadRing,
		},
		"one with memory of its own": {
			do: func(t *testing.T, p *greetedPeer) {
				p.sendRecord(t, mostRecord, sealed)
				p.sendRecord(t, mostRecord+1, sealed)
			},
			got: 1, cause: shmconn.ErrTooLong, reason: wire.BadRing,
		},
		"memory that can change": {
			do:    func(t *testing.T, p *greetedPeer) { p.sendRecord(t, 100, sealed&^unix.F_SEAL_WRITE) },
			cause: shmconn.ErrMemory, reason: wire.BadMemory,
		},
		"too much memory": {
			do: func(t *testing.T, p *greetedPeer) {
				for range shmconn.MaxLarge + 1 {
					p.sendLarge(t, 100, sealed)
				}
			},
			cause: shmconn.ErrCorrupt, reason: wire.BadRing,
		},
		"too much memory, some of it in use": {
			records: hoard,
			do: func(t *testing.T, p *greetedPeer) {
				for range shmconn.MaxLarge - 1 {
					p.sendRecord(t, 100, sealed)
				}
				p.publish(t)
				for range shmconn.MaxLarge - 1 {
					looptest.Await(t, holds, "the records")
				}
				p.sendLarge(t, 100, sealed)
				p.sendLarge(t, 100, sealed)
			},
			cause: shmconn.ErrCorrupt, reason: wire.BadRing,
		},
	} {
		t.Run(name, func(t *testing.T) {
			fdtest.Check(t)
			nothingMapped(t)
			loop, _ := runs(t)
			ended := make(chan error, 1)
			server := &hooks{records: tt.records, closed: func(c *shmconn.RecordConn, cause error) { c.Release(); ended <- cause }}
			p := greetsRaw(t, listens(t, loop, server, shmconn.ListenConfig{Ring: shmconn.Config{MaxRecord: mostRecord}}))
			tt.do(t, p)
			p.publish(t)
			isOp(t, "HandleClose", looptest.Await(t, ended, "the end"), "read", tt.cause)
			expectRefusal(t, p.socket, tt.reason)
			looptest.Do(t, loop, func() {
				if len(server.got) != tt.got {
					t.Errorf("%d records were handed over, want %d", len(server.got), tt.got)
				}
			})
		})
	}
}

// TestMostLarge: as much memory as may be under way is not too much.
func TestMostLarge(t *testing.T) {
	const sealed = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	loop, _ := runs(t)
	server := &hooks{}
	p := greetsRaw(t, listens(t, loop, server, shmconn.ListenConfig{}))
	h := &home{Communicator: loop, t: t}
	for round := range 3 {
		for range shmconn.MaxLarge {
			p.sendRecord(t, 100, sealed)
		}
		p.publish(t)
		h.until("the records", func() bool { return len(server.got) == (round+1)*shmconn.MaxLarge || server.ended > 0 })
	}
	h.on(func() { must(t, server.cause) })
}
