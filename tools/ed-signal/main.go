// Command ed-signal sends one message to a service, from shells, systemd units and logrotate scripts.
//
//	ed-signal [options] [[SERVER:]SERVICE/]COMMAND
//
//	ed-signal --host 127.0.0.1:4041 STOP
//	ed-signal --type unixgram --host /run/demo.socket ./LOG_ROTATE
//	ed-signal --type tcp --host db1:4040 --expect USER store/FETCH_USER --param id=42
//	ed-signal --type tcp --host 127.0.0.1:4040 --value text STATUS
//	ed-signal --type tcp --encrypt --ca ca.pem --host db1:4040 --reply HELP
//
// The manual page, doc/man/ed-signal.1, describes all options, the configuration file, and what differs from the tool of
// the C++ library. In short:
//
// Over udp and unixgram the message is one datagram, of at most 1024 and 65536 bytes, and nothing is awaited without
// --reply. Over tcp and unix it is a line, and ed-signal waits until the service hangs up or sends a line. With --reply
// what comes is printed. INVALID, UNKNOWN and SERVICE_UNAVAILABLE are errors then, and so is silence; over a stream a
// hang-up is not, unless --expect, --value or --json asks for a certain reply. --timeout, 5 seconds by default, holds
// for all of it.
//
// The sender of the message is the service ed_signal on the server named like this host, as far as a host name can be
// one: what follows the first dot is cut, and other characters than letters, digits and underscores become underscores.
//
// Options of the command line win over those of the environment variable ED_SIGNAL, which is split as a shell does, and
// these over those of the file /etc/eventdispatcher/ed-signal.conf.
//
// A secret of --secret-code can be seen by all users of the machine, in the list of processes: --secret-file and the
// environment variable ED_SIGNAL_SECRET keep it from them. It is sent in datagrams only.
//
// The exit status is 0 when the message was sent and answered as asked, else 1, with a line on the standard error.
//
// To send messages from a Go program use packages message and net, or connection for more than one.
package main

import (
	"context"
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

func main() { os.Exit(run(cli.System())) }

// run is the whole program. It returns the exit status.
func run(env cli.Env) int {
	hostname, _ := os.Hostname() // without one the sender has no server
	return runOn(env, hostname, defaultConfig)
}

// runOn is run on a host of this name, with this configuration file in the place of the default one.
func runOn(env cli.Env, hostname, config string) int {
	tool := cli.New(cli.Config{Name: "ed-signal", Help: help, Variable: "ED_SIGNAL", UsageStatus: cli.StatusBad}, env)
	s := signaller{tool: tool}
	s.define(tool)
	return tool.Run(func([]string) error {
		if err := s.configure(tool.Flags, config); err != nil {
			return err
		}
		return s.signal(hostname)
	})
}

// signaller is one run.
type signaller struct {
	options
	tool   *cli.Tool
	target target
}

// signal sends the message, and prints the reply if that is asked for.
func (s *signaller) signal(hostname string) error {
	err := s.finish(s.tool.Flags)
	if err != nil {
		return err
	}
	m, err := s.build(hostname)
	if err != nil {
		return err
	}
	if s.target, err = newTarget(s.network, s.host); err != nil {
		return err
	}
	sent, shown, err := s.text(m)
	if err != nil {
		return err
	}
	security, err := s.tlsConfig()
	if err != nil {
		return err
	}
	if s.dryRun {
		s.tool.Log.WithField("to", s.target).Info("not sent")
		return s.print(shown)
	}

	ctx := context.Background()
	if s.timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		ctx = limited
	}
	conn, err := s.dial(ctx, security)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := s.send(conn, sent); err != nil {
		return err
	}
	switch {
	case bool(s.reply):
		return s.awaitReply(conn)
	case s.target.datagrams():
		return nil
	}
	return s.awaitEnd(conn)
}
