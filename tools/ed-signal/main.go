// Command ed-signal sends one message to a service, from shells, systemd units and logrotate scripts.
//
//	ed-signal [options] [[SERVER:]SERVICE/]COMMAND
//
//	ed-signal --host 127.0.0.1:4041 STOP
//	ed-signal --type tcp --reply --host db1:4040 store/FETCH_USER --param id=42
//
// Over UDP the message is one datagram of at most 1024 bytes, and nothing is awaited without --reply. Over TCP
// it is a line, and ed-signal waits for one line back, or until the other side hangs up. With --reply what came
// is printed, and silence is an error; services of the C++ library never answer datagrams to their sender.
//
// The sender of the message is the service ed_signal on the server named like this host, as far as a host
// name can be one: what follows the first dot is cut, and other characters than letters, digits and
// underscores become underscores.
//
// Options are first taken from the environment variable ED_SIGNAL, separated by white space, without quotes.
//
// The exit status is 0 when the message was sent and, with --reply, answered (or over TCP hung up on), else 1
// with a line on the standard error.
//
// To send messages from a Go program use the packages message and net, or connection for more than one.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

func main() {
	hostname, _ := os.Hostname() // without one the sender has no server
	os.Exit(run(os.Args[1:], environment{
		hostname: hostname,
		options:  os.Getenv("ED_SIGNAL"),
		stdout:   os.Stdout,
		stderr:   os.Stderr,
	}))
}

// environment is what ed-signal gets besides its arguments.
type environment struct {
	hostname       string
	options        string // further arguments, before the others
	stdout, stderr io.Writer
}

// run is the whole program. It returns the exit status.
func run(args []string, env environment) int {
	if err := signal(append(strings.Fields(env.options), args...), env); err != nil {
		_, _ = fmt.Fprintf(env.stderr, "ed-signal: %v\n", err)
		return 1
	}
	return 0
}

func signal(args []string, env environment) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	switch {
	case o.help:
		_, err = io.WriteString(env.stdout, o.usage)
		return err
	case o.version:
		_, err = fmt.Fprintln(env.stdout, version())
		return err
	}
	m, err := o.build(env.hostname)
	if err != nil {
		return err
	}
	reply, err := send(o, m)
	if err != nil {
		return err
	}
	_, err = env.stdout.Write(reply)
	return err
}

// version returns the version of the module this program was built from, "(devel)" outside of one.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
