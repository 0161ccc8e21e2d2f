//go:build linux

package command

import (
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
)

// The times that a Config's zero values stand for.
const (
	DefaultKillDelay = 5 * time.Second
	DefaultWaitDelay = 5 * time.Second
)

// Config says how a command runs. The zero value runs it with what the exec.Cmd says, and nobody hears of its end.
// All functions and handlers are called on the loop's goroutine.
type Config struct {
	// Stdout and Stderr take what the command writes, each as a stream; for lines see connection.Split. Nil: what
	// the exec.Cmd says, as with package os/exec: nothing there is /dev/null.
	Stdout, Stderr connection.StreamHandler
	// Combined lets the command's standard error go where its standard output goes, as 2>&1 of a shell does.
	Combined bool
	// Input makes a stream of the command's standard input: see Process.Stdin. Else it is what the exec.Cmd says.
	Input bool
	// Drain is called when the last byte of input that had to wait has gone to the command. An error closes the
	// input. Nil: nobody is told.
	Drain func(p *Process) error
	// Exit is called once, when the command has ended: see the package's section "The end". Process.Err tells it whether
	// a stream has failed, which the command may have got SIGPIPE of. An error is logged. It may start other commands.
	// Nil: nobody is told.
	Exit func(p *Process, e procwatch.Event) error
	// Timeout is how long the command may run; then it is stopped as by Process.Stop with KillDelay. Without Group what
	// the command has started lives on, and may hold the output open for WaitDelay. Zero: for ever.
	Timeout time.Duration
	// KillDelay is how long the command may take to end after SIGTERM; then it gets SIGKILL. Zero:
	// DefaultKillDelay, 5 s. Below 0: it gets SIGKILL at once.
	KillDelay time.Duration
	// WaitDelay is how long output may take after the command's end. What has been written by then is still read, also
	// if the stream is paused, for as long as it is; then it is closed with ErrWaitDelay. Zero: DefaultWaitDelay, 5 s.
	// Below 0: no output is waited for.
	WaitDelay time.Duration
	// Group gives the command a process group of its own. Signals then go to all of the group: to the processes that
	// the command has started, too, unless they have left it. What is left of the group when the command itself has
	// ended goes on, unless KillRest is set. On a terminal such a command is in the background: Ctrl-C doesn't reach it.
	Group bool
	// KillRest lets what is left of the group, when the command itself has ended, get SIGKILL at once. Nothing is
	// killed if somebody else has taken the command's status, as then the number of the group may be another's.
	// Without Group it means nothing.
	KillRest bool
	// Finish lets a shutdown of the loop wait for the command's own end, within its limit, instead of stopping it. The
	// command's input ends when what was written has gone, and Timeout still counts. When the limit has passed the
	// loop ends: the command is killed, or with Leave goes on.
	Finish bool
	// Leave lets the command go on when the loop ends or is shut down; only its streams close. Nobody takes its status
	// then, unless the caller does by Wait of its os.Process, and Process.Signal returns procwatch.ErrClosed.
	Leave bool
	// Name is for people: logs and listings, where it stands before the name of each stream. Empty: the last element of
	// the command's path, in logs and listings with the number of the process: "sleep 4711", "sleep 4711 stdout".
	Name string
	// Priority in the loop, of the command and its streams; smaller is served first.
	Priority int
	// Stream is how the streams behave; its Name and Priority are not used. For the input a CloseTimeout of zero is
	// for ever, because a command may take its time, and there is no IdleTimeout.
	Stream connection.StreamConfig
}

func (c *Config) setDefaults() {
	if c.KillDelay == 0 {
		c.KillDelay = DefaultKillDelay
	}
	if c.WaitDelay == 0 {
		c.WaitDelay = DefaultWaitDelay
	}
}

// check refuses what would make package os/exec start goroutines that only Wait of the exec.Cmd ends.
func (c *Config) check(cmd *exec.Cmd) error {
	if cmd.Cancel != nil || cmd.WaitDelay != 0 {
		return ErrContext
	}
	for _, end := range []struct {
		value any
		ours  bool
	}{
		{cmd.Stdin, c.Input}, {cmd.Stdout, c.Stdout != nil}, {cmd.Stderr, c.Stderr != nil || c.Combined},
	} {
		switch _, isFile := end.value.(*os.File); {
		case end.value == nil:
		case end.ours:
			return ErrTwice
		case !isFile:
			return ErrNotFile
		}
	}
	if c.Combined && c.Stderr != nil {
		return ErrTwice
	}
	return nil
}

// ownGroup gives the command a process group. The attributes may be shared by several commands.
func ownGroup(cmd *exec.Cmd) {
	attr := syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	attr.Pgid = 0
	attr.Setpgid = !attr.Setsid // a session's leader leads a group already
	cmd.SysProcAttr = &attr
}
