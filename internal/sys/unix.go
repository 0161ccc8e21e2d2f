//go:build linux

package sys

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// SeqPacket is the kind of sockets that keep the bounds of what is written, and connect.
const SeqPacket = unix.SOCK_SEQPACKET

// OpenPath opens a descriptor that stands for a file and can't be read or written: whoever puts
// another file in its place doesn't change what is done through the descriptor. It doesn't follow a
// symbolic link.
func OpenPath(path string) (fd int, err error) {
	err = retry("open", func() (err error) {
		fd, err = unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// Chmod changes the permissions of the file of a descriptor that OpenPath has opened.
func Chmod(fd int, mode os.FileMode) error {
	return retry("chmod", func() error {
		err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), uint32(mode.Perm()))
		if errors.Is(err, unix.ENOENT) { // without /proc, and only since Linux 6.6
			err = unix.Fchmodat(fd, "", uint32(mode.Perm()), unix.AT_EMPTY_PATH)
		}
		return err
	})
}

// Chown changes the owner and the group of the file of a descriptor that OpenPath has opened; -1
// leaves one as it is.
func Chown(fd, uid, gid int) error {
	return retry("chown", func() error { return unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH) })
}

// PeerCredentials returns who made the other end of a Unix stream or packet socket, as of then: the
// kernel keeps it for the life of the connection. It is ENOPROTOOPT or nonsense for other sockets:
// see CheckUnix.
func PeerCredentials(fd int) (pid, uid, gid int, err error) {
	err = retry("getsockopt", func() error {
		c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			pid, uid, gid = int(c.Pid), int(c.Uid), int(c.Gid)
		}
		return err
	})
	return pid, uid, gid, err
}

// CheckUnix tells whether fd is a Unix socket: ENOTSOCK or EAFNOSUPPORT if not.
func CheckUnix(fd int) error {
	return retry("getsockopt", func() error {
		n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err == nil && n != unix.AF_UNIX {
			err = unix.EAFNOSUPPORT
		}
		return err
	})
}
