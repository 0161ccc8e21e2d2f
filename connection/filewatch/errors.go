//go:build linux

package filewatch

import (
	"errors"
	"io/fs"
	"syscall"
)

var (
	// ErrTooMany is returned, or told in an event, when there are Config.MaxDirectories.
	ErrTooMany = errors.New("filewatch: more directories than Config.MaxDirectories")
	// ErrWatches is returned, or told in an event, when the kernel watches no more for this user.
	ErrWatches = errors.New("filewatch: the user has no watches left: raise sysctl fs.inotify.max_user_watches")
	// ErrInstances is returned when the kernel gives this user no more inotify instances, or the process
	// no more descriptors. A Watcher takes up to two instances.
	ErrInstances = errors.New("filewatch: no inotify instance left: raise sysctl fs.inotify.max_user_instances, or RLIMIT_NOFILE")
	// ErrWatched is returned by Add for a path that is watched already.
	ErrWatched = errors.New("filewatch: the path is watched already")
	// ErrNotWatched is returned by Remove for a path that was not added, or whose watch has ended.
	ErrNotWatched = errors.New("filewatch: the path is not watched")
	// ErrOps is returned by Add when Watch.Ops has operations that can't be asked for.
	ErrOps = errors.New("filewatch: these operations can't be asked for")
)

// failed is an error with the path it is about.
func failed(name string, err error) error {
	return &fs.PathError{Op: "watch", Path: name, Err: limit(err)}
}

// limit names the limit of the kernel that an error is about.
func limit(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return ErrWatches
	case errors.Is(err, syscall.EMFILE):
		return ErrInstances
	}
	return err
}

// limited tells whether an error is about a limit, which the next directory would meet as well.
func limited(err error) bool {
	return errors.Is(err, ErrTooMany) || errors.Is(err, ErrWatches) || errors.Is(err, ErrInstances)
}

// vanished tells whether a path has become something else, or nothing, of which an event follows.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}
