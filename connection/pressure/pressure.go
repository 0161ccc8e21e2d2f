//go:build linux

// Package pressure tells a loop that memory, CPU time or I/O has become short: the kernel's pressure stall
// information, PSI, /proc/pressure.
//
//	release := func() error { cache.Drop(); return nil }
//	_, err := pressure.Watch(loop, pressure.Memory, release, pressure.Config{})
//
// A stall is time in which a task could have run and had to wait for the resource. So it is known that memory is
// short while there is still time to give some back, long before an allocation fails.
//
// The whole machine is watched, or a cgroup, by Config.File. A service of systemd's finds the file of its own
// cgroup in the variable MEMORY_PRESSURE_WATCH:
//
//	pressure.Config{File: os.Getenv("MEMORY_PRESSURE_WATCH")} // without the variable, the machine
//
// [Read] asks for the present figures. Do not use the package to measure: it knows a threshold, not how much is
// missing; nor to limit what a program takes, which is for debug.SetMemoryLimit and for cgroups.
package pressure

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// Resource is what can become short.
type Resource uint8

// The resources that the kernel watches.
const (
	Memory Resource = iota
	CPU
	IO
)

// String names the resource as the kernel does: "memory", "cpu", "io".
func (r Resource) String() string {
	switch r {
	case Memory:
		return "memory"
	case CPU:
		return "cpu"
	case IO:
		return "io"
	}
	return "resource " + strconv.Itoa(int(r))
}

func (r Resource) file() string { return "/proc/pressure/" + r.String() }

// Kind says whose stalls count.
type Kind uint8

const (
	// Some counts the time in which at least one task was stalled.
	Some Kind = iota
	// Full counts the time in which all tasks that weren't idle were stalled at once: nothing was done at all.
	Full
)

// String names the kind as the kernel does: "some", "full".
func (k Kind) String() string {
	if k == Full {
		return "full"
	}
	return "some"
}

// The threshold of a Config that names none, which is that of systemd's event loop (psi-util.h): a tenth of the
// time.
const (
	DefaultStall  = 200 * time.Millisecond
	DefaultWindow = 2 * time.Second
)

// maxWindow is the kernel's (Documentation/accounting/psi.rst).
const maxWindow = 10 * time.Second

// Config says when there is pressure. The zero value is right for most.
type Config struct {
	// Options are those of the source. Want is not used. The priority must not be below 0: the kernel tells of
	// pressure once, and in the set of urgent descriptors the loop would be the second to ask. For the same reason
	// don't give the handle such a priority later.
	communicator.Options
	// Kind says whose stalls count. Zero: Some.
	Kind Kind
	// Stall is how much time has to be lost within Window, at most all of it. Zero: DefaultStall. Both are rounded
	// down to microseconds.
	Stall time.Duration
	// Window is the span of time, 10 s at most. The kernel takes what isn't a multiple of 2 s from processes with
	// CAP_SYS_RESOURCE only, and needs a thread of its own for it. Zero: DefaultWindow.
	Window time.Duration
	// File is the pressure file of a cgroup, such as /sys/fs/cgroup/x/memory.pressure. Empty: the whole machine.
	File string
	// OnClose is called on the loop's goroutine when the source has left the loop; the causes are those of a
	// communicator.CloseHandler, and ErrGone. Nil: a failure is logged.
	OnClose func(cause error)
}

// trigger is the text by which the kernel is told.
func (c *Config) trigger() (string, error) {
	stall, window := c.Stall, c.Window
	if stall == 0 {
		stall = DefaultStall
	}
	if window == 0 {
		window = DefaultWindow
	}
	if stall < time.Microsecond || stall > window || window > maxWindow {
		return "", fmt.Errorf("%w: %v in %v", ErrConfig, stall, window)
	}
	return fmt.Sprintf("%s %d %d", c.Kind, stall.Microseconds(), window.Microseconds()), nil
}

// Watcher is a source of pressure in a loop. It belongs to the loop's goroutine.
type Watcher struct {
	handle  *communicator.Handle
	f       func() error
	onClose func(cause error)
	name    string
	fd      int
}

// Watch calls f on the loop's goroutine when there is pressure: as soon as the threshold is passed, and then once a
// window at most as long as it lasts. Options.Rate makes it less often. An error from f removes the source with
// that cause. What happens while the source is switched off is not told later, but pressure that lasts is.
//
// The source keeps Run from returning, unless Options.Background says otherwise.
//
// Its errors are ErrUnsupported, ErrConfig, ErrPriority, those of the file, such as os.ErrPermission, and those of
// the loop's Add.
func Watch(loop *communicator.Communicator, r Resource, f func() error, c Config) (*Watcher, error) {
	if f == nil {
		panic("pressure: nil function")
	}
	trigger, err := c.trigger()
	if err != nil {
		return nil, err
	}
	if c.Priority < 0 {
		return nil, ErrPriority
	}
	path := c.File
	if path == "" {
		path = r.file()
	}
	w := &Watcher{f: f, onClose: c.OnClose, name: r.String() + " pressure"}
	if w.fd, err = arm(path, trigger); err != nil {
		if c.File == "" && errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.Want = communicator.Exceptional
	if w.handle, err = loop.Add((*source)(w), c.Options); err != nil {
		_ = sys.Close(w.fd)
		return nil, err
	}
	return w, nil
}

// arm opens a pressure file with a trigger. What isn't one is not written to.
func arm(path, trigger string) (int, error) {
	fd, err := sys.OpenPressure(path)
	if err == nil {
		if err = check(fd); err == nil {
			err = set(fd, trigger)
		}
		if err != nil {
			_ = sys.Close(fd)
		}
	}
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ErrFormat) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return fd, err
}

// check tells whether a descriptor is that of a pressure file.
func check(fd int) error {
	var buf [4096]byte
	n, err := sys.Read(fd, buf[:])
	if err != nil && !errors.Is(err, sys.ErrWouldBlock) {
		return err
	}
	if _, err = Parse(string(buf[:n])); err != nil {
		return err
	}
	if pollable, err := sys.Pollable(fd); err != nil || !pollable { // a regular file that reads like one
		return errors.Join(err, ErrFormat)
	}
	return nil
}

// set writes the trigger.
func set(fd int, trigger string) error {
	_, err := sys.Write(fd, append([]byte(trigger), 0)) // the kernel puts its own 0 in the place of the last byte
	if errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("%w: %q (without CAP_SYS_RESOURCE the window has to be a multiple of 2 s): %w", ErrConfig, trigger, err)
	}
	return err
}

// Handle is the source's place in its loop.
func (w *Watcher) Handle() *communicator.Handle { return w.handle }

// Close takes the source out of the loop.
func (w *Watcher) Close() { w.handle.Remove(nil) }

// source is a Watcher as the loop sees it.
type source Watcher

func (s *source) FD() int { return s.fd }

func (s *source) String() string { return s.name }

func (s *source) HandleRead(*communicator.Handle) error {
	events, err := sys.Poll(s.fd)
	if err != nil {
		return err
	}
	if events&sys.Failed != 0 {
		return ErrGone
	}
	return s.f()
}

func (s *source) Close() error { return sys.Close(s.fd) }

func (s *source) HandleClose(h *communicator.Handle, cause error) {
	switch {
	case s.onClose != nil:
		s.onClose(cause)
	case cause != nil && !errors.Is(cause, communicator.ErrClosed):
		h.Loop().Logger().Warn("source removed", "source", h, "cause", cause)
	}
}
