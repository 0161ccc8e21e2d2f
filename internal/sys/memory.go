//go:build linux

package sys

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What can be forbidden for good on the file of a MemFD: fcntl(2), F_ADD_SEALS.
const (
	SealShrink      = unix.F_SEAL_SHRINK
	SealGrow        = unix.F_SEAL_GROW
	SealWrite       = unix.F_SEAL_WRITE        // in any way
	SealFutureWrite = unix.F_SEAL_FUTURE_WRITE // but through what is mapped already; since Linux 5.1
	SealSeal        = unix.F_SEAL_SEAL
)

// MemFD makes a file in memory, without a name in any folder, whose pages are all there: neither who maps it nor a
// peer to whom it is passed can run out of memory by touching them. name is for /proc.
func MemFD(name string, size int) (fd int, err error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	err = retry("memfd_create", func() (err error) {
		fd, err = unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
		if errors.Is(err, unix.EINVAL) { // before Linux 6.3
			fd, err = unix.MemfdCreate(name, flags)
		}
		return err
	})
	if err != nil {
		return NoFD, err
	}
	if err = retry("ftruncate", func() error { return unix.Ftruncate(fd, int64(size)) }); err == nil {
		err = retry("fallocate", func() error { return unix.Fallocate(fd, 0, 0, int64(size)) })
	}
	if err != nil {
		return NoFD, errors.Join(err, Close(fd))
	}
	return fd, nil
}

// Truncate changes the length of a file.
func Truncate(fd, size int) error {
	return retry("ftruncate", func() error { return unix.Ftruncate(fd, int64(size)) })
}

// Seal forbids things for good on the file of a MemFD. SealWrite is EBUSY while it is mapped for writing.
func Seal(fd, seals int) error {
	return retry("fcntl", func() error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		return err
	})
}

// Memory is what a descriptor is that somebody else has passed along, if it is one of a MemFD.
type Memory struct {
	Size  int64
	Seals int
	// Whole tells that all pages are there, which those of a MemFD are once it was mapped for writing: none has to be
	// found when it is touched, which could end in SIGBUS.
	Whole bool
}

// MemoryOf looks at a descriptor of somebody else's. For one that is no file in memory with ordinary pages the error
// is EINVAL; it doesn't touch others, whose file system could let it wait.
func MemoryOf(fd int) (m Memory, err error) {
	err = retry("fcntl", func() (err error) {
		m.Seals, err = unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
		return err
	})
	if err != nil {
		return m, err
	}
	var fs unix.Statfs_t
	if err = retry("fstatfs", func() error { return unix.Fstatfs(fd, &fs) }); err != nil {
		return m, err
	}
	if fs.Type != unix.TMPFS_MAGIC { // huge pages can run out when they are touched
		return m, wrap("fstatfs", unix.EINVAL)
	}
	var st unix.Stat_t
	if err = retry("fstat", func() error { return unix.Fstat(fd, &st) }); err != nil {
		return m, err
	}
	m.Size = st.Size
	if m.Size == 0 { // which has no hole to look for
		m.Whole = true
		return m, nil
	}
	var hole int64
	err = retry("lseek", func() (err error) {
		hole, err = unix.Seek(fd, 0, unix.SEEK_HOLE)
		return err
	})
	m.Whole = hole >= m.Size
	return m, err
}

// MapShared maps a file in memory; writable is for what this process writes, whose pages are there then, and zero. A
// child that is forked doesn't get the mapping.
func MapShared(fd, size int, writable bool) ([]byte, error) {
	if writable {
		return mapFile(fd, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	return mapFile(fd, size, unix.PROT_READ, unix.MAP_SHARED)
}

// MapPrivate maps a file in memory that nobody writes any more, for reading.
func MapPrivate(fd, size int) ([]byte, error) { // MAP_SHARED is refused for SealWrite before Linux 6.7
	return mapFile(fd, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
}

func mapFile(fd, size, protection, flags int) (p []byte, err error) {
	err = retry("mmap", func() (err error) {
		p, err = unix.Mmap(fd, 0, size, protection, flags)
		return err
	})
	if err != nil {
		return nil, err
	}
	_ = unix.Madvise(p, unix.MADV_DONTFORK)
	return p, nil
}

// Unmap undoes a mapping. Whoever touches the bytes afterwards crashes the process.
func Unmap(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	return retry("munmap", func() error { return unix.Munmap(p) })
}

// doorbellCount is how many times a doorbell can be rung: a million times a second for 146,000 years.
const doorbellCount = 1 << 62

// NewDoorbell makes an eventfd for RingDoorbell, to be watched by an epoll set for Writable with EdgeTriggered: each
// ring is an event.
func NewDoorbell() (fd int, err error) {
	err = retry("eventfd", func() (err error) {
		fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK|unix.EFD_SEMAPHORE)
		return err
	})
	if err != nil {
		return NoFD, err
	}
	var count [8]byte
	binary.NativeEndian.PutUint64(count[:], doorbellCount)
	if _, err = Write(fd, count[:]); err == nil {
		err = RingDoorbell(fd) // EOPNOTSUPP before Linux 5.8
	}
	if err != nil {
		return NoFD, errors.Join(err, Close(fd))
	}
	return fd, nil
}

// RingDoorbell tells whoever waits for a doorbell. It takes 1 off the count: that wakes who waits for room in it
// (eventfd_read in Linux, fs/eventfd.c). Reading can be told not to wait, whatever has been done to the descriptor by
// somebody who shares it. Writing can't: with O_NONBLOCK off and the count full it would wait for ever.
func RingDoorbell(fd int) error {
	var count [8]byte
	iov := unix.Iovec{Base: &count[0]}
	iov.SetLen(len(count))
	const noOffset = ^uintptr(0)
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1, noOffset, noOffset, unix.RWF_NOWAIT)
		if errno != unix.EINTR {
			return wrap("preadv2", errno)
		}
	}
}

// CheckDoorbell tells whether a descriptor of somebody else's is an eventfd: EINVAL if not. mine is one. It neither
// waits for the file system of another file nor writes to it.
func CheckDoorbell(fd, mine int) error {
	theirs, err := identity(fd)
	if err != nil {
		return err
	}
	own, err := identity(mine)
	if err != nil {
		return err
	}
	if theirs != own { // all files of the kernel's own making share an inode
		return wrap("statx", unix.EINVAL)
	}
	return RingDoorbell(fd) // most others of these, such as epoll sets, refuse it, and none waits
}

type inode struct {
	major, minor uint32
	number       uint64
	mode         uint16
}

func identity(fd int) (inode, error) {
	var st unix.Statx_t
	err := retry("statx", func() error {
		return unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE|unix.STATX_INO, &st)
	})
	return inode{st.Dev_major, st.Dev_minor, st.Ino, st.Mode & unix.S_IFMT}, err
}
