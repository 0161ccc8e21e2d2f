//go:build linux

// Package fileowner gives the file that a transport makes, a socket or a FIFO, its mode, owner and group.
package fileowner

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/user"
	"strconv"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Owner is what a file is to have.
type Owner struct {
	Mode         os.FileMode // 0: as it is
	uid, gid     int         // -1: as it is
	owner, group string
}

// New looks an owner and a group up, each a name or a number; an empty one is not asked for. Names are
// looked up in the files of the system, or wherever that is told to look, which may take a while.
func New(mode os.FileMode, owner, group string) (o Owner, err error) {
	o = Owner{Mode: mode, owner: owner, group: group}
	o.uid, err = id(owner, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return o, describe("owner", owner, err)
	}
	o.gid, err = id(group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	return o, describe("group", group, err)
}

// id is a number as it is, or what lookup finds for a name; -1 for none.
func id(name string, lookup func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(name, 10, 32)
	if errors.Is(err, strconv.ErrSyntax) {
		if name, err = lookup(name); err != nil {
			return 0, err
		}
		n, err = strconv.ParseUint(name, 10, 32)
	}
	if err == nil && n == math.MaxUint32 {
		err = strconv.ErrRange // chown(2) takes it for none
	}
	return int(n), err
}

func describe(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// First is the mode with which the file is to be made: nobody else may use it until it has its owner
// and its group.
func (o *Owner) First() os.FileMode {
	if o.uid >= 0 || o.gid >= 0 {
		return o.Mode & 0o700
	}
	return o.Mode
}

// Settle gives a file, by a descriptor of it, its group, its mode and its owner, in that order: whoever
// gives a file away may need a privilege to change its mode afterwards.
func (o *Owner) Settle(fd int) error {
	var err error
	if o.gid >= 0 {
		err = describe("group", o.group, sys.Chown(fd, -1, o.gid))
	}
	if err == nil && o.Mode != 0 {
		err = sys.Chmod(fd, o.Mode)
	}
	if err == nil && o.uid >= 0 {
		err = describe("owner", o.owner, sys.Chown(fd, o.uid, -1))
	}
	return err
}
