//go:build linux

// Command ed-stop stops services and processes, from units of systemd and from scripts, and waits until they are gone.
//
//	ed-stop [options] [--service] NAME|PID...
//
//	ed-stop --service $MAINPID
//	ed-stop --service nginx --timeout 10 --kill
//	ed-stop --process-name --service imagesrv --message 127.0.0.1:4041
//
// A number is that of a process. Anything else is a unit, whose main process systemctl names; with --process-name,
// when systemd has none running, it is the name of a process, which only one may have, or the path of its program.
//
// The process gets SIGINT and has --timeout to end, 60 seconds by default, then SIGTERM and ten seconds. --signal is
// another sequence, --kill puts SIGKILL at its end, --message puts a STOP message before it. After each signal but
// SIGKILL and those that stop comes a SIGCONT, as systemd does it, because a process that is stopped takes nothing
// else. After a signal that the process ignores there is no time when another but SIGKILL follows. ed-stop returns the
// moment that the process is gone; one that has ended and was not waited for by its parent is. Several are stopped at
// the same time.
//
// The process is held by a pidfd while systemd is asked once more, or /proc is looked at, whether it is the one that is
// meant. So no signal can hit another process that got the number later. Process 0 and 1, ed-stop itself, threads and
// those of the kernel are refused.
//
// Options are first taken from the environment variable ED_STOP. A --service that is empty, or last without a value,
// as systemd makes of $MAINPID when the main process has ended, means that there is nothing to stop.
//
// The exit status is 0 when all of them are gone or were not running, and 1 when one survived, for any other error, and
// when the command line is wrong.
//
// A Go program uses package connection/procwatch, and connection/command for those that it starts itself.
package main

import (
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

func main() { os.Exit(run(cli.System())) }

// run is the whole program. It returns the exit status.
func run(env cli.Env) int {
	env.Args = emptyService(env)
	tool, o := newTool(env)
	return tool.Run(func(args []string) error {
		p, err := o.plan(tool, args)
		if err != nil {
			return err
		}
		return p.carryOut(tool)
	})
}
