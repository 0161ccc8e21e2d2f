//go:build linux

package logrotate

import "errors"

// ErrNoFile is returned by Listen for a UDP port with a mode, an owner or a group, which would keep nobody from it.
var ErrNoFile = errors.New("logrotate: a UDP port has no file, and so no mode, owner or group")
