//go:build linux

package sys

import (
	"errors"

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
	// Whole tells that all pages are there, so that none has to be found when it is touched, which could
	// end in SIGBUS.
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
	m.Whole = st.Blocks*512 >= st.Size
	return m, nil
}

// MapShared maps a file in memory; writable is for what this process writes. A child that is forked doesn't get the
// mapping.
func MapShared(fd, size int, writable bool) ([]byte, error) {
	if writable {
		return mapFile(fd, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
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

// NewDoorbell makes an eventfd for RingDoorbell. Its count is 1 and nobody ever reads it, so that to an epoll set
// with EdgeTriggered each ring is an event.
func NewDoorbell() (fd int, err error) {
	err = retry("eventfd", func() (err error) {
		fd, err = unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		return err
	})
	return fd, err
}

// RingDoorbell tells whoever waits for a doorbell. It adds 0 to the count: the kernel wakes the waiters all the same
// (eventfd_write in Linux, fs/eventfd.c), and never lets it wait for room, though whoever shares the eventfd may have
// filled the count and taken O_NONBLOCK off.
func RingDoorbell(fd int) error {
	var zero [8]byte
	_, err := Write(fd, zero[:])
	return err
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
	return RingDoorbell(fd) // the others of these, such as epoll sets, refuse it
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
