//go:build linux

package sys

import "golang.org/x/sys/unix"

// PressureHooks are set by tests to inject descriptors. They are not for concurrent use with what they hook.
var PressureHooks struct {
	// Open stands for OpenPressure.
	Open func(path string) (fd int, err error)
}

// OpenPressure opens a file of pressure stall information (PSI), to read it and to write a trigger, in
// non-blocking mode. It makes no file.
func OpenPressure(path string) (fd int, err error) {
	if PressureHooks.Open != nil {
		return PressureHooks.Open(path)
	}
	err = retry("open", func() (err error) {
		fd, err = unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		return err
	})
	return fd, err
}
