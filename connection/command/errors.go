//go:build linux

package command

import "errors"

var (
	// ErrNotFile is returned by Start for a Stdin, Stdout or Stderr of the exec.Cmd that is no *os.File: package
	// os/exec would copy it by a goroutine, and only Wait of the exec.Cmd ends that.
	ErrNotFile = errors.New("command: Stdin, Stdout and Stderr of the exec.Cmd must be files")
	// ErrTwice is returned by Start for an input or output that both the Config and the exec.Cmd set.
	ErrTwice = errors.New("command: an input or output is set twice")
	// ErrContext is returned by Start for an exec.Cmd with a context, a Cancel or a WaitDelay: package os/exec would
	// start a goroutine, and only Wait of the exec.Cmd ends that. Use Config.Timeout and Process.Stop.
	ErrContext = errors.New("command: the exec.Cmd must have no context")
	// ErrWaitDelay is the cause with which an output closes that was still open Config.WaitDelay after the command's end.
	ErrWaitDelay = errors.New("command: its output was still open after its end")
)
