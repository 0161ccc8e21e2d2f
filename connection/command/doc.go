//go:build linux

// Package command runs commands as part of a loop: their input and output are streams, their end is an event,
// and no goroutine waits for them.
//
//	lines := connection.FrameFunc(func(_ *connection.Stream, line []byte) error { ... })
//	p, err := command.Start(loop, exec.Command("sort", "-u"), command.Config{
//		Stdout: connection.Split(bufio.ScanLines, lines),
//		Input:  true,
//		Exit:   func(p *command.Process, e procwatch.Event) error { ... },
//	})
//	...
//	fmt.Fprintln(p.Stdin(), "hello")
//	p.Stdin().Close() // the end of its input
//
// Use it where commands come and go beside other work of the loop. A program that runs one command and has
// nothing else to do meanwhile is simpler with package os/exec; for a process that somebody else has started
// there is package procwatch.
//
// # Input and output
//
// Each of the three is a pipe of its own, or else what the exec.Cmd says. A command that writes more than is
// read is slowed down by its pipe; reading stops while the stream is paused. What is written to a command that
// doesn't read waits in memory, up to StreamConfig.MaxOutput: for more than that write the next part when
// Config.Drain is called. That a command ends before it has read all is no failure.
//
// A stream whose handler returns an error, or that gets a longer line than StreamConfig.MaxInput, closes; the command
// goes on, and gets SIGPIPE or EPIPE when it writes there the next time. [Process.Err] says at its end what it was.
//
// # The end
//
// Config.Exit is called once, when the process has ended and its output was read to the end. Processes that it
// has started may hold its output open; they are waited for no longer than Config.WaitDelay. But nothing that was
// written by then is lost: as long as a stream is paused, or disabled, Exit waits.
//
// When the loop is shut down (communicator.Communicator.Shutdown) a command is stopped as by [Process.Stop] with
// Config.KillDelay; with Config.Finish it may come to its own end, for as long as the shutdown may take. When the loop
// ends while a command runs, the command is killed, its Exit is not called, and a goroutine takes its status, so that
// it leaves no zombie. With Config.Leave neither is done. Nor is Exit called for a command that has ended, but whose
// output is still open when the loop ends.
//
// # Many commands
//
// Nothing limits how many commands run at once but the system: RLIMIT_NPROC and memory, and descriptors, of which a
// command takes two for its end and one for each stream, and at its start some more. Who starts one for each request
// or file needs a bound and a queue, as in the second example of [Start].
package command
