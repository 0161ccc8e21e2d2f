//go:build linux

package shmconn_test

import (
	"encoding/binary"
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// attack is something that an intruder does until it has no time left, or the other side has gone.
type attack struct {
	name string
	run  func(in *intruder)
	// ends are the ends of the connection that it can come to. None: any of hostileEnds.
	ends []error
}

// attacksOn are the attacks on a face. A stream takes no records with memory of their own.
func attacksOn(face string) []attack {
	all := slices.Clone(attacks)
	for _, a := range largeAttacks {
		if face == "stream" && len(a.ends) > 0 {
			a.ends = []error{shmconn.ErrMismatch}
		}
		all = append(all, a)
	}
	return all
}

var (
	corrupt  = []error{shmconn.ErrCorrupt}
	harmless = []error{shmconn.ErrPeerDied}
)

var attacks = []attack{
	{"random bytes everywhere", func(in *intruder) {
		for in.going() {
			for range 200 {
				in.scribble(in.area)
				in.ring()
			}
		}
	}, nil},
	{"random bytes in the header", func(in *intruder) {
		for in.going() {
			for range 200 {
				in.word(128 * in.random.IntN(5)).Store(in.number())
				in.ring()
			}
		}
	}, nil},
	{"random data", func(in *intruder) {
		for in.going() {
			in.scribble(in.area[ring.HeaderSize:])
			in.at += uint64(max(0, min(in.room(), in.random.IntN(256)*8)))
			in.publish()
		}
	}, nil},
	{"published races ahead", func(in *intruder) {
		for in.going() {
			for range 100 {
				in.at += 8
				in.publish()
			}
		}
	}, corrupt},
	{"published goes back", func(in *intruder) {
		in.put(in.kind, make([]byte, 1000))
		in.publish()
		for in.going() {
			in.word(publishedAt).Store(in.at - 8*uint64(1+in.random.IntN(100)))
			in.ring()
			in.word(publishedAt).Store(in.at)
		}
	}, nil},
	{"lengths change", func(in *intruder) {
		lengths := []uint64{0, 8, 100, 1 << 20, 1<<32 - 1, 1<<32 - 8, uint64(in.capacity()), ring.KindPad << 32, ^uint64(0)}
		for in.going() {
			if in.room() < 1024 {
				continue
			}
			head := in.data(in.at)
			in.put(in.kind, make([]byte, 1000))
			in.publish()
			for range 200 {
				head.Store(lengths[in.random.IntN(len(lengths))] | uint64(in.kind)<<32)
			}
			head.Store(1000 | uint64(in.kind)<<32)
		}
	}, nil},
	{"records without end that are empty", func(in *intruder) {
		for in.going() {
			for range 1000 {
				in.at += uint64(max(0, in.room()))
				in.publish()
			}
		}
	}, harmless},
	{"pads without end", func(in *intruder) {
		for in.going() {
			for range 100 {
				rest := in.capacity() - int(in.at)&(in.capacity()-1)
				if in.room() < rest {
					continue
				}
				in.data(in.at).Store(uint64(rest-8) | ring.KindPad<<32)
				in.at += uint64(rest)
				in.publish()
			}
		}
	}, harmless},
	{"the end comes and goes", func(in *intruder) {
		for in.going() {
			for range 100 {
				in.word(endedAt).Store(uint64(in.random.IntN(2)))
				if in.room() >= 64 {
					in.put(in.kind, make([]byte, 50))
				}
				in.publish()
			}
		}
	}, nil},
	{"more than the end", func(in *intruder) {
		in.word(endedAt).Store(3 + in.random.Uint64()%1000)
		for in.going() {
			in.ring()
		}
	}, corrupt},
	{"more after the end", func(in *intruder) {
		in.word(endedAt).Store(ring.EndOrderly)
		for in.going() {
			in.at += uint64(max(0, in.room()))
			in.publish()
		}
	}, nil},
	{"a storm of bells", func(in *intruder) {
		for in.going() {
			for range 2000 {
				in.ring()
			}
		}
	}, harmless},
	{"bells tampered with", func(in *intruder) {
		for in.going() {
			in.disturbBell(in.bell)
			in.disturbBell(in.their)
			if in.room() >= 64 {
				in.put(in.kind, make([]byte, 50))
			}
			in.publish()
		}
	}, harmless},
	{"a bell that is full", func(in *intruder) {
		add(in.their, math.MaxUint64-1)
	}, harmless},
	{"a bell that overflows", func(in *intruder) {
		add(in.their, math.MaxUint64-1)
		complete(in.t, in.their)
	}, harmless},
	{"asleep and waiting at random", func(in *intruder) {
		for in.going() {
			for range 100 {
				in.word(asleepAt).Store(in.number())
				in.word(waitingAt).Store(in.number())
				if in.room() >= 64 {
					in.put(in.kind, make([]byte, 50))
				}
				in.publish()
			}
		}
	}, harmless},
	{"released too much", func(in *intruder) {
		for in.going() {
			in.word(releasedAt).Store(wordOf(in.theirs, publishedAt).Load() + 8*uint64(1+in.random.IntN(1000)))
			if in.room() >= 64 {
				in.put(in.kind, make([]byte, 50))
			}
			in.publish()
		}
	}, corrupt},
	{"released at random", func(in *intruder) {
		for in.going() {
			in.word(releasedAt).Store(in.number())
			if in.room() >= 64 {
				in.put(in.kind, make([]byte, 50))
			}
			in.publish()
		}
	}, nil},
	{"memory without records", func(in *intruder) {
		for in.going() {
			_, _, _ = in.sendLarge()
		}
	}, corrupt},
	{"packets of nobody", func(in *intruder) {
		for in.going() {
			p := make([]byte, in.random.IntN(2*wire.Size))
			in.fill(p)
			_, _ = sys.SendMsg(in.socket, p, nil, []int{in.bell, in.their, in.bell}[:in.random.IntN(4)])
		}
	}, corrupt},
	{"packets of any kind", func(in *intruder) {
		for in.going() {
			p := wire.Packet{Kind: wire.Kind(in.random.IntN(5)), Reason: wire.Reason(in.number()), First: in.number(), Second: in.number()}
			_ = in.send(p, []int{in.bell, in.their, in.bell}[:in.random.IntN(4)]...)
		}
	}, nil},
	{"a refusal", func(in *intruder) {
		_ = in.send(wire.Packet{Kind: wire.Refusal, Reason: wire.BadRing})
		for in.going() {
			in.ring()
		}
	}, []error{errRefused}},
	{"the end of the socket alone", func(in *intruder) {
		_ = unix.Shutdown(in.socket, unix.SHUT_WR)
		for in.going() {
			in.at += uint64(max(0, in.room()))
			in.publish()
		}
	}, nil},
}

// largeAttacks are those with records in the ring that have memory of their own, or claim to.
var largeAttacks = []attack{
	{"records without memory", func(in *intruder) {
		in.put(ring.KindUser, largeRecord(1, 100))
		in.publish()
		for in.going() {
			in.ring()
		}
	}, corrupt},
	{"records with any memory", func(in *intruder) {
		for in.going() {
			if in.room() < 64 {
				continue
			}
			number, size, err := in.sendLarge()
			if err != nil {
				return
			}
			if in.random.IntN(16) == 0 {
				size = in.number()
			}
			in.put(ring.KindUser, largeRecord(number, size))
			in.publish()
		}
	}, nil},
	{"many records with proper memory", func(in *intruder) {
		for in.going() {
			if in.room() < in.capacity() {
				continue // it may have only so many of them under way
			}
			for range shmconn.MaxLarge {
				size := 1 + in.random.IntN(hostileRecord)
				fd := wholeMemory(size)
				_ = sys.Seal(fd, recordSealed)
				in.large++
				_ = in.send(wire.Packet{Kind: wire.Large, First: in.large, Second: uint64(size)}, fd)
				sys.CloseAll([]int{fd})
				in.put(ring.KindUser, largeRecord(in.large, uint64(size)))
			}
			in.publish()
		}
	}, harmless},
	{"memory that is sparse", func(in *intruder) { in.memoryOf(hostileRecord/2, 0, 0, recordSealed) }, []error{shmconn.ErrMemory}},
	{"memory whose pages are behind its end", func(in *intruder) {
		in.memoryOf(hostileRecord/2, hostileRecord/2, hostileRecord/2, recordSealed)
	}, []error{shmconn.ErrMemory}},
	{"memory that is not sealed", func(in *intruder) {
		in.memoryOf(hostileRecord/2, 0, hostileRecord/2, sys.SealShrink|sys.SealGrow|sys.SealSeal)
	}, []error{shmconn.ErrMemory}},
	{"memory that is longer than it takes", func(in *intruder) {
		in.memoryOf(hostileRecord+1, 0, hostileRecord+1, recordSealed)
	}, []error{shmconn.ErrTooLong}},
	{"memory that is huge", func(in *intruder) { in.memoryOf(1<<40, 0, 0, recordSealed) }, []error{shmconn.ErrTooLong}},
}

func (in *intruder) fill(p []byte) {
	for len(p) >= 8 {
		binary.NativeEndian.PutUint64(p, in.random.Uint64())
		p = p[8:]
	}
}

// scribble writes random bytes to a random part.
func (in *intruder) scribble(p []byte) {
	from := in.random.IntN(len(p)) &^ 7
	in.fill(p[from:min(len(p), from+1<<in.random.IntN(13))])
}

// memoryOf sends a record with memory of that size, and that has so many bytes from some place on.
func (in *intruder) memoryOf(size, from, there, seals int) {
	fd, err := unix.MemfdCreate("record", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		panic(err)
	}
	defer sys.CloseAll([]int{fd})
	_ = unix.Ftruncate(fd, int64(size))
	if there > 0 {
		_ = unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, int64(from), int64(there))
	}
	_ = sys.Seal(fd, seals)
	_ = in.send(wire.Packet{Kind: wire.Large, First: 1, Second: uint64(size)}, fd)
	in.put(ring.KindUser, largeRecord(1, uint64(size)))
	in.publish()
	for in.going() {
		in.ring()
	}
}
