//go:build linux

// Package procwatch tells a loop of the end of processes, and of what the processes of the machine do.
//
//   - [Child] waits for a child of this process, and reaps it: how it ended, what it has used.
//   - [PID] waits for any process: only that it has ended is known.
//   - [Machine] tells of all that fork, exec, exit and change their user, as the kernel reports it.
//
// Child and PID cost a descriptor each, a pidfd, and no goroutine. It stands for the process and not for its
// number, so neither the end that is told nor a signal that is sent can be those of another process that got the
// number later.
//
// Do not use it to run a command and talk to it: package connection/command starts one with its pipes as streams on
// the loop, and uses this package. To wait for a command outside of a loop is a matter for os/exec.
//
// # Children of os/exec
//
// Give Child the Process of an exec.Cmd that was started. From then on nobody else may wait for it: neither
// Cmd.Wait nor Process.Wait. So what Cmd.Wait does besides isn't done: Cmd.ProcessState stays nil (use Event.State);
// the goroutines that copy to and from a Stdin, Stdout or Stderr which is no *os.File end by themselves with the
// pipes, and nobody asks for their errors; the goroutine of exec.CommandContext ends with its context only. Give the
// command files or nothing, and no context. Cmd.Wait may be called after the event, to have the pipes closed: it
// answers ECHILD then.
//
// # Children and the loop
//
// A watch that leaves the loop, also because the loop ends, leaves its process alone: it is not killed, and a child
// has to be waited for by the caller.
//
// All of it belongs to the loop's goroutine.
package procwatch
