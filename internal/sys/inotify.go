//go:build linux

package sys

import (
	"bytes"
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// What inotify tells of a file, as inotify(7) has it, and how a directory is to be watched.
const (
	FileAccessed   = unix.IN_ACCESS
	FileModified   = unix.IN_MODIFY
	FileAttributes = unix.IN_ATTRIB
	FileWritten    = unix.IN_CLOSE_WRITE // closed by one who could write
	FileClosed     = unix.IN_CLOSE_NOWRITE
	FileOpened     = unix.IN_OPEN
	FileMovedFrom  = unix.IN_MOVED_FROM
	FileMovedTo    = unix.IN_MOVED_TO
	FileCreated    = unix.IN_CREATE
	FileDeleted    = unix.IN_DELETE
	SelfDeleted    = unix.IN_DELETE_SELF
	SelfMoved      = unix.IN_MOVE_SELF
	SelfUnmounted  = unix.IN_UNMOUNT
	WatchEnded     = unix.IN_IGNORED
	WatchOverflow  = unix.IN_Q_OVERFLOW
	FileIsDir      = unix.IN_ISDIR

	WatchAdd      = unix.IN_MASK_ADD // to what the directory is watched for already
	WatchOnlyDir  = unix.IN_ONLYDIR
	WatchNoFollow = unix.IN_DONT_FOLLOW
)

// InotifyInit makes a non-blocking inotify instance. EMFILE means that the user has
// fs.inotify.max_user_instances of them, or the process no descriptor left.
//
// Closing one with watches takes up to some milliseconds.
func InotifyInit() (fd int, err error) {
	err = retry("inotify_init1", func() (err error) {
		fd, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
		return err
	})
	return fd, err
}

// InotifyAdd watches a file. The same file has the same number, whatever its path, until the watch
// ends; numbers aren't used again before all of them have been. ENOSPC means that the user has
// fs.inotify.max_user_watches of them.
func InotifyAdd(fd int, path string, mask uint32) (wd int32, err error) {
	err = retry("inotify_add_watch", func() error {
		n, err := unix.InotifyAddWatch(fd, path, mask)
		wd = int32(n)
		return err
	})
	return wd, err
}

// InotifyRemove ends a watch. EINVAL means that it has ended by itself.
func InotifyRemove(fd int, wd int32) error {
	return retry("inotify_rm_watch", func() error {
		_, err := unix.InotifyRmWatch(fd, uint32(wd))
		return err
	})
}

// FileChange is one event of inotify. Name is of what is in the watched directory, empty for the
// directory itself; the two of a rename have the same Cookie.
type FileChange struct {
	Name   string
	WD     int32
	Mask   uint32
	Cookie uint32
}

// NextFileChange cuts the first event off what Read has read from an inotify instance. It returns
// false when there is no whole one.
func NextFileChange(p []byte) (c FileChange, rest []byte, ok bool) {
	if len(p) < unix.SizeofInotifyEvent {
		return c, nil, false
	}
	size := binary.NativeEndian.Uint32(p[12:])
	if uint64(size) > uint64(len(p)-unix.SizeofInotifyEvent) {
		return c, nil, false
	}
	c.WD = int32(binary.NativeEndian.Uint32(p))
	c.Mask = binary.NativeEndian.Uint32(p[4:])
	c.Cookie = binary.NativeEndian.Uint32(p[8:])
	name, rest := p[unix.SizeofInotifyEvent:][:size], p[unix.SizeofInotifyEvent+size:]
	if end := bytes.IndexByte(name, 0); end >= 0 { // padded with zeros
		name = name[:end]
	}
	c.Name = string(name)
	return c, rest, true
}

// FileID tells a file from all others, also from those that had its inode before, where the file
// system keeps the time of birth.
type FileID struct {
	Device [2]uint32
	Inode  uint64
	Birth  unix.StatxTimestamp
}

// FileStatus is what FileStat tells of a file.
type FileStatus struct {
	ID        FileID
	Changed   time.Time // when its inode was, by a rename too on most file systems
	Links     uint32    // the names that it has
	Directory bool
	Link      bool // a symbolic one
	Regular   bool
}

const statxMask = unix.STATX_TYPE | unix.STATX_NLINK | unix.STATX_INO | unix.STATX_CTIME | unix.STATX_BTIME

// FileStat looks at a file; follow says whether at what a symbolic link stands for.
func FileStat(path string, follow bool) (s FileStatus, err error) {
	var x unix.Statx_t
	flags := 0
	if !follow {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	err = retry("statx", func() error {
		return unix.Statx(unix.AT_FDCWD, path, flags, statxMask, &x)
	})
	if err != nil {
		return s, err
	}
	s.ID = FileID{Device: [2]uint32{x.Dev_major, x.Dev_minor}, Inode: x.Ino}
	if x.Mask&unix.STATX_BTIME != 0 {
		s.ID.Birth = x.Btime
	}
	s.Changed = time.Unix(x.Ctime.Sec, int64(x.Ctime.Nsec))
	s.Links = x.Nlink
	kind := x.Mode & unix.S_IFMT
	s.Directory, s.Link, s.Regular = kind == unix.S_IFDIR, kind == unix.S_IFLNK, kind == unix.S_IFREG
	return s, nil
}
