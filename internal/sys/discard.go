//go:build linux

package sys

import (
	"sync"

	"golang.org/x/sys/unix"
)

// Discard closes descriptors that somebody else has passed along, and never waits for that. With SO_LINGER, which a
// peer may have set on a socket before it passed that, close(2) of the last descriptor of a socket would; that of a
// file waits for the answer of its file system, which with FUSE may be the peer itself. So files are closed beside, on
// at most maxClosers goroutines; while these all hang, others stay open.
func Discard(fds []int) {
	for _, fd := range fds {
		if !closesAtOnce(fd) {
			closers.close(fd)
			continue
		}
		_ = NoLinger(fd) // ENOTSOCK or EOPNOTSUPP: nothing to switch off
		_ = Close(fd)
	}
}

// closesAtOnce tells whether close(2) asks no file system: of memory, pipes, sockets, and what is no file at all.
func closesAtOnce(fd int) bool {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err == nil {
		return true
	}
	i, err := identity(fd)
	return err == nil && (i.mode == 0 || i.mode == unix.S_IFSOCK || i.mode == unix.S_IFIFO)
}

// maxClosers is how many goroutines close files. Each that hangs has a thread.
const maxClosers = 4

// closers is shared by all loops of the process: a limit for each of them would be none.
var closers fileClosers

type fileClosers struct {
	mu      sync.Mutex
	waiting []int
	running int
}

func (c *fileClosers) close(fd int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, fd)
	if c.running < maxClosers {
		c.running++
		go c.run()
	}
}

// run closes what waits.
func (c *fileClosers) run() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.waiting = nil
			c.running--
			c.mu.Unlock()
			return
		}
		fd := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		_ = Close(fd)
	}
}
