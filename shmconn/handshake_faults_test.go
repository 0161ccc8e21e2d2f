//go:build linux

package shmconn_test

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// fault is what can be wrong with a peer's greeting.
type fault struct {
	name   string
	spoil  func(t *testing.T, g *greeting)
	want   error            // errors.Is
	also   func(error) bool // nil: nothing
	reason wire.Reason      // that the peer gets to hear; 0: none
}

// faultCapacity is the capacity in those greetings.
const faultCapacity = 4 * shmconn.MinCapacity

func put16(at int, value uint16) func(*testing.T, *greeting) {
	return func(_ *testing.T, g *greeting) { binary.LittleEndian.PutUint16(g.packet[at:], value) }
}

func put64(at int, value uint64) func(*testing.T, *greeting) {
	return func(_ *testing.T, g *greeting) { binary.LittleEndian.PutUint64(g.packet[at:], value) }
}

func packet(p []byte) func(*testing.T, *greeting) {
	return func(_ *testing.T, g *greeting) { g.packet, g.fds = p, nil }
}

// replace puts another descriptor in the place of one.
func replace(which int, other func(t *testing.T) int) func(*testing.T, *greeting) {
	return func(t *testing.T, g *greeting) { g.fds[which] = other(t) }
}

func speaks(version uint16) func(error) bool {
	return func(err error) bool {
		var wrong *shmconn.VersionError
		return errors.As(err, &wrong) && wrong.Version == version
	}
}

func refuses(reason wire.Reason) fault {
	return fault{
		name: "refuses because of " + reason.String(),
		spoil: func(_ *testing.T, g *greeting) {
			g.packet = (&wire.Packet{Kind: wire.Refusal, Reason: reason}).Append(nil)
		},
		also: func(err error) bool {
			var refused *shmconn.RefusedError
			return errors.As(err, &refused) && refused.Reason == reason.String()
		},
	}
}

// packetFaults are what can be wrong with what is said.
func packetFaults() []fault {
	const foreign, capacity = wire.BadHello, wire.BadCapacity
	return []fault{
		{"version 0", put16(versionAt, 0), nil, speaks(0), wire.BadVersion},
		{"version 2", put16(versionAt, 2), nil, speaks(2), wire.BadVersion},
		{"version 65535", put16(versionAt, 1<<16-1), nil, speaks(1<<16 - 1), wire.BadVersion},
		{"refuses as another version", func(t *testing.T, g *greeting) {
			g.packet = (&wire.Packet{Kind: wire.Refusal, Reason: wire.BadVersion}).Append(nil)
			put16(versionAt, 7)(t, g)
		}, nil, speaks(7), wire.BadVersion},
		refuses(wire.BadVersion), refuses(wire.BadMemory), refuses(wire.BadCapacity), refuses(wire.NoResources), refuses(4711),
		{"another kind", put16(kindAt, 4711), shmconn.ErrForeign, nil, foreign},
		{"a record", put16(kindAt, uint16(wire.Large)), shmconn.ErrForeign, nil, foreign},
		{"a byte", packet([]byte("x")), shmconn.ErrForeign, nil, foreign},
		{"garbage as long as a packet", packet(make([]byte, wire.Size)), shmconn.ErrForeign, nil, foreign},
		{"a message", packet([]byte("HELP\n")), shmconn.ErrForeign, nil, foreign},
		{"one byte too few", func(_ *testing.T, g *greeting) { g.packet = g.packet[:wire.Size-1] }, shmconn.ErrForeign, nil, foreign},
		{"one byte too many", func(_ *testing.T, g *greeting) { g.packet = append(g.packet, 0) }, shmconn.ErrForeign, nil, foreign},
		{"much too long", packet(make([]byte, 50_000)), shmconn.ErrForeign, nil, foreign},
		{"no byte", packet(nil), io.ErrUnexpectedEOF, nil, 0},
		{"nothing but descriptors", func(_ *testing.T, g *greeting) { g.packet = nil }, shmconn.ErrForeign, nil, foreign},
		{"no descriptor", func(_ *testing.T, g *greeting) { g.fds = nil }, shmconn.ErrForeign, nil, foreign},
		{"one descriptor", func(_ *testing.T, g *greeting) { g.fds = g.fds[:1] }, shmconn.ErrForeign, nil, foreign},
		{"three descriptors", func(_ *testing.T, g *greeting) { g.fds = append(g.fds, g.fds[0]) }, connection.ErrDescriptors, nil, foreign},
		{"no capacity", put64(firstAt, 0), shmconn.ErrCapacity, nil, capacity},
		{"half the least capacity", put64(firstAt, shmconn.MinCapacity/2), shmconn.ErrCapacity, nil, capacity},
		{"no power of two", put64(firstAt, 3*shmconn.MinCapacity), shmconn.ErrCapacity, nil, capacity},
		{"more than is taken", put64(firstAt, 2*shmconn.DefaultMaxCapacity), shmconn.ErrCapacity, nil, capacity},
		{"more than there is", put64(firstAt, 1<<62), shmconn.ErrCapacity, nil, capacity},
		{"a negative capacity", put64(firstAt, 1<<63), shmconn.ErrCapacity, nil, capacity},
		{"half of the memory", put64(firstAt, faultCapacity/2), shmconn.ErrMemory, nil, wire.BadMemory},
		{"twice the memory", put64(firstAt, faultCapacity*2), shmconn.ErrMemory, nil, wire.BadMemory},
		{"swapped descriptors", func(_ *testing.T, g *greeting) { g.fds[0], g.fds[1] = g.fds[1], g.fds[0] }, shmconn.ErrMemory, nil, wire.BadMemory},
		{"two bells", func(_ *testing.T, g *greeting) { g.fds[memoryFD] = g.fds[bellFD] }, shmconn.ErrMemory, nil, wire.BadMemory},
	}
}

// descriptorFaults are what somebody may pass along for a bell or for memory. Nil of memory: it could be that.
func descriptorFaults() (faults []fault) {
	for _, kind := range []struct {
		name string
		open func(t *testing.T) int
	}{
		{"a pipe", func(t *testing.T) int { return pipeEnds(t)[1] }},
		{"a socket", packetSocketOf},
		{"a regular file", func(t *testing.T) int { return opened(t, t.TempDir()+"/file", unix.O_RDWR|unix.O_CREAT) }},
		{"a file of a tmpfs", tmpfsFile},
		{"a folder", func(t *testing.T) int { return opened(t, t.TempDir(), unix.O_DIRECTORY) }},
		{"a path", func(t *testing.T) int { return opened(t, t.TempDir(), unix.O_PATH) }},
		{"/dev/zero", func(t *testing.T) int { return opened(t, "/dev/zero", unix.O_RDWR) }},
		{"an epoll set", func(t *testing.T) int { fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC); return held(t, fd, err) }},
		{"a timerfd", func(t *testing.T) int {
			fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
			return held(t, fd, err)
		}},
		{"a signalfd", func(t *testing.T) int {
			fd, err := unix.Signalfd(-1, &unix.Sigset_t{}, unix.SFD_CLOEXEC)
			return held(t, fd, err)
		}},
		{"an inotify", func(t *testing.T) int { fd, err := unix.InotifyInit1(unix.IN_CLOEXEC); return held(t, fd, err) }},
		{"a pidfd", func(t *testing.T) int { fd, err := unix.PidfdOpen(os.Getpid(), 0); return held(t, fd, err) }},
		{"the memory of a process", func(t *testing.T) int { return opened(t, "/proc/self/mem", unix.O_RDWR) }},
	} {
		faults = append(faults,
			fault{"bell: " + kind.name, replace(bellFD, kind.open), shmconn.ErrForeign, nil, wire.BadHello},
			fault{"memory: " + kind.name, replace(memoryFD, kind.open), shmconn.ErrMemory, nil, wire.BadMemory})
	}
	return append(faults, fault{"bell: memory", func(_ *testing.T, g *greeting) { g.fds[bellFD] = g.fds[memoryFD] }, shmconn.ErrForeign, nil, wire.BadHello})
}

// memoryFaults are what can be wrong with memory that is one.
func memoryFaults() (faults []fault) {
	add := func(name string, memory func(t *testing.T) int) {
		faults = append(faults, fault{name, replace(memoryFD, memory), shmconn.ErrMemory, nil, wire.BadMemory})
	}
	size := ring.Size(faultCapacity)
	for name, seals := range map[string]int{
		"unsealed":        0,
		"could shrink":    areaSeals &^ unix.F_SEAL_SHRINK,
		"could grow":      areaSeals &^ unix.F_SEAL_GROW,
		"could be mapped": areaSeals &^ unix.F_SEAL_FUTURE_WRITE,
		"only seals":      unix.F_SEAL_SEAL,
		"could be sealed": areaSeals &^ unix.F_SEAL_SEAL,
	} {
		add("memory: "+name, func(t *testing.T) int { return newMemory(t, size, seals) })
	}
	for name, n := range map[string]int{"a page short": size - 4096, "a byte short": size - 1, "a byte long": size + 1, "a page long": size + 4096} {
		add("memory: "+name, func(t *testing.T) int { return newMemory(t, n, areaSeals) })
	}
	add("memory: empty", func(t *testing.T) int { return emptyMemory(t, 0, unix.MFD_ALLOW_SEALING) })
	add("memory: without pages", func(t *testing.T) int { return emptyMemory(t, size, unix.MFD_ALLOW_SEALING) })
	add("memory: lacks a page", func(t *testing.T) int {
		fd := newMemory(t, size, 0)
		punch(t, fd, ring.HeaderSize, 4096)
		must(t, sys.Seal(fd, areaSeals))
		return fd
	})
	add("memory: lacks a page, and has one behind its end", func(t *testing.T) int {
		fd := newMemory(t, size, 0)
		punch(t, fd, ring.HeaderSize, 4096)
		must(t, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, int64(size), 4096))
		must(t, sys.Seal(fd, areaSeals))
		return fd
	})
	add("memory: huge pages", func(t *testing.T) int {
		fd, err := unix.MemfdCreate("ring", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_HUGETLB)
		if err != nil {
			t.Skip(err)
		}
		held(t, fd, nil)
		must(t, sys.Seal(fd, areaSeals))
		return fd
	})
	return faults
}

// emptyMemory is sealed and has no pages.
func emptyMemory(t *testing.T, size, flags int) int {
	t.Helper()
	fd, err := unix.MemfdCreate("ring", unix.MFD_CLOEXEC|flags)
	held(t, fd, err)
	must(t, unix.Ftruncate(fd, int64(size)))
	must(t, sys.Seal(fd, areaSeals))
	return fd
}

func punch(t *testing.T, fd, at, size int) {
	t.Helper()
	must(t, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(at), int64(size)))
}

func pipeEnds(t *testing.T) (ends [2]int) {
	t.Helper()
	err := unix.Pipe2(ends[:], unix.O_CLOEXEC)
	held(t, ends[0], err)
	held(t, ends[1], nil)
	return ends
}

func packetSocketOf(t *testing.T) int { return packetSocket(t) }

func opened(t *testing.T, path string, flags int) int {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	return held(t, fd, err)
}

// tmpfsFile is a file of a tmpfs that isn't one of memfd_create.
func tmpfsFile(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open("/dev/shm", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Skip(err)
	}
	return held(t, fd, nil)
}
