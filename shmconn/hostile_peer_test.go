//go:build linux

package shmconn_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// intruder is a peer that has made a proper handshake, and then does what it likes: with the packages below this one, so
// that nothing keeps it from that.
type intruder struct {
	t           *testing.T
	socket      int
	area        []byte // its own
	theirs      []byte // for reading
	memory      int    // of the other side
	bell, their int    // its own, and the one of the other side
	kind        uint32 // of its records
	random      *rand.Rand
	end         time.Time

	large uint64 // packets sent
	at    uint64 // published
}

// Where the words of an area's header are.
const (
	publishedAt = 128 * iota
	releasedAt
	asleepAt
	waitingAt
	endedAt
)

const recordSealed = sys.SealShrink | sys.SealGrow | sys.SealWrite | sys.SealSeal

// intrude makes a connection with a ring of that capacity, which is full of empty records of a kind.
func intrude(t *testing.T, path string, capacity int, kind uint32, random *rand.Rand) (in *intruder, err error) {
	in = &intruder{t: t, kind: kind, socket: sys.NoFD, memory: sys.NoFD, bell: sys.NoFD, their: sys.NoFD, random: random}
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	if in.socket, err = unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, err
	}
	patience := unix.Timeval{Sec: 10}
	if err = unix.SetsockoptTimeval(in.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return nil, err
	}
	if err = unix.Connect(in.socket, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, err
	}
	size := ring.Size(capacity)
	own, err := sys.MemFD("ring", size)
	if err != nil {
		return nil, err
	}
	defer sys.CloseAll([]int{own})
	if in.area, err = sys.MapShared(own, size, true); err != nil {
		return nil, err
	}
	for count := uint64(0); count < uint64(capacity); count += 8 {
		in.data(count).Store(uint64(kind) << 32)
	}
	if err = sys.Seal(own, areaSeals); err != nil {
		return nil, err
	}
	if in.bell, err = sys.NewDoorbell(); err != nil {
		return nil, err
	}
	if err = in.send(wire.Packet{Kind: wire.Hello, First: uint64(capacity), Second: 1 << 20}, own, in.bell); err != nil {
		return nil, err
	}
	p, fds, err := rawReceive(in.socket)
	if err == nil && (p.Kind != wire.Hello || len(fds) != 2) {
		err = fmt.Errorf("packet of kind %d, reason %v, with %d descriptors", p.Kind, p.Reason, len(fds))
	}
	if err != nil {
		sys.CloseAll(fds)
		return nil, err
	}
	in.memory, in.their = fds[0], fds[1]
	if in.theirs, err = sys.MapShared(in.memory, ring.Size(int(p.First)), false); err != nil {
		return nil, err
	}
	return in, in.mustNotWrite()
}

// mustNotWrite tries to write to the memory of the other side.
func (in *intruder) mustNotWrite() error {
	p, err := unix.Mmap(in.memory, 0, len(in.theirs), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == nil {
		return errors.Join(errors.New("the other side's memory can be mapped for writing"), unix.Munmap(p))
	}
	if err := unix.Mprotect(in.theirs, unix.PROT_READ|unix.PROT_WRITE); err == nil {
		return errors.New("the other side's memory can be made writable")
	}
	for name, write := range map[string]func() error{
		"written": func() error { _, err := unix.Pwrite(in.memory, make([]byte, 8), publishedAt); return err },
		"emptied": func() error { return unix.Ftruncate(in.memory, 0) },
		"punched": func() error {
			return unix.Fallocate(in.memory, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096)
		},
		"zeroed":    func() error { return unix.Fallocate(in.memory, unix.FALLOC_FL_ZERO_RANGE, 0, 4096) },
		"taken off": func() error { return unix.Madvise(in.theirs, unix.MADV_REMOVE) },
	} {
		if write() == nil {
			return fmt.Errorf("the other side's memory can be %s", name)
		}
	}
	return nil
}

func (in *intruder) close() {
	for _, fd := range []int{in.socket, in.memory, in.bell, in.their} {
		if fd != sys.NoFD {
			_ = unix.Close(fd)
		}
	}
	_ = sys.Unmap(in.area)
	_ = sys.Unmap(in.theirs)
}

func (in *intruder) send(p wire.Packet, fds ...int) error {
	_, err := sys.SendMsg(in.socket, p.Append(nil), nil, fds)
	return err
}

// going tells whether to go on: the other side is still there, and there is time.
func (in *intruder) going() bool {
	if !time.Now().Before(in.end) {
		return false
	}
	poll := []unix.PollFd{{Fd: int32(in.socket)}}
	n, err := unix.Poll(poll, 0)
	return errors.Is(err, unix.EINTR) || n == 0
}

func wordOf(area []byte, at int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&area[at]))
}

func (in *intruder) word(at int) *atomic.Uint64 { return wordOf(in.area, at) }

func (in *intruder) capacity() int { return len(in.area) - ring.HeaderSize }

// data is the word of its ring at a count.
func (in *intruder) data(count uint64) *atomic.Uint64 {
	return wordOf(in.area, ring.HeaderSize+int(count)&(in.capacity()-1)&^7)
}

// ring rings the other side's bell.
func (in *intruder) ring() { _ = sys.RingDoorbell(in.their) }

// room is how much more it may publish.
func (in *intruder) room() int {
	return in.capacity() - int(in.at-wordOf(in.theirs, releasedAt).Load())
}

// put writes a record at the end, which fits, and doesn't publish it.
func (in *intruder) put(kind uint32, record []byte) {
	need := (8 + len(record) + 7) &^ 7
	if rest := in.capacity() - int(in.at)&(in.capacity()-1); rest < need {
		in.data(in.at).Store(uint64(rest-8) | ring.KindPad<<32)
		in.at += uint64(rest)
	}
	from := ring.HeaderSize + int(in.at)&(in.capacity()-1) + 8
	copy(in.area[from:], record)
	in.data(in.at).Store(uint64(len(record)) | uint64(kind)<<32)
	in.at += uint64(need)
}

func (in *intruder) publish() {
	in.word(publishedAt).Store(in.at)
	in.ring()
}

// number is any number: mostly one that matters.
func (in *intruder) number() uint64 {
	switch in.random.IntN(8) {
	case 0:
		return in.random.Uint64()
	case 1:
		return 1 << in.random.IntN(64)
	case 2:
		return -(uint64(1) << in.random.IntN(64))
	case 3:
		return uint64(in.random.IntN(4))
	case 4:
		return wordOf(in.theirs, releasedAt).Load() + uint64(in.random.IntN(64))*8
	case 5:
		return wordOf(in.theirs, publishedAt).Load() - uint64(in.random.IntN(64))*8
	}
	return in.at + uint64(in.random.IntN(64))*8
}

// attachment is a descriptor to send, and what its packet should say of its size.
func (in *intruder) attachment() (fd int, size uint64) {
	size = 1 + uint64(in.random.IntN(hostileRecord))
	made := func(fd int, err error) int {
		if err != nil {
			panic(err)
		}
		return fd
	}
	switch in.random.IntN(8) {
	case 0: // no memory
		return made(unix.Eventfd(0, unix.EFD_CLOEXEC)), size
	case 1:
		return made(unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)), size
	case 2: // another size
		fd = wholeMemory(int(size))
		size = in.number()
	case 3: // without pages
		fd = made(unix.MemfdCreate("record", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING))
		size = 1 << in.random.IntN(40)
		_ = unix.Ftruncate(fd, int64(size))
	default:
		fd = wholeMemory(int(size))
	}
	if in.random.IntN(4) > 0 { // else it can be changed later
		_ = sys.Seal(fd, recordSealed)
	}
	return fd, size
}

// wholeMemory is memory of that size with all its pages.
func wholeMemory(size int) int {
	fd, err := sys.MemFD("record", size)
	if err == nil {
		_, err = unix.Pwrite(fd, make([]byte, size), 0)
	}
	if err != nil {
		panic(err)
	}
	return fd
}

// sendLarge sends a packet with memory, and tells its number and size.
func (in *intruder) sendLarge() (number, size uint64, err error) {
	fd, size := in.attachment()
	defer sys.CloseAll([]int{fd})
	in.large++
	err = in.send(wire.Packet{Kind: wire.Large, First: in.large, Second: size}, fd)
	if in.random.IntN(4) == 0 {
		_ = unix.Ftruncate(fd, 0)
	}
	return in.large, size, err
}

func largeRecord(number, size uint64) []byte {
	return binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, number), size)
}

// disturbBell writes any count to a bell, or reads it, and lets whoever does that wait, or not.
func (in *intruder) disturbBell(fd int) {
	var b [8]byte
	if err := unix.SetNonblock(fd, true); err != nil {
		panic(err)
	}
	if in.random.IntN(2) == 0 {
		_, _ = unix.Read(fd, b[:])
	}
	binary.NativeEndian.PutUint64(b[:], in.number())
	_, _ = unix.Write(fd, b[:])
	if in.random.IntN(2) == 0 {
		binary.NativeEndian.PutUint64(b[:], ^uint64(1))
		_, _ = unix.Write(fd, b[:])
	}
	_ = unix.SetNonblock(fd, in.random.IntN(2) == 0)
}
