// Command ed-signal sends one message to a service, from shells, systemd units and logrotate scripts.
//
//	ed-signal [options] [[SERVER:]SERVICE/]COMMAND
//
//	ed-signal --host 127.0.0.1:4041 STOP
//	ed-signal --type unixgram --host /run/demo.socket ./LOG_ROTATE
//	ed-signal --type tcp --host db1:4040 --expect USER store/FETCH_USER --param id=42
//	ed-signal --type tcp --host 127.0.0.1:4040 --value text STATUS
//	ed-signal --type tcp --encrypt --ca ca.pem --host db1:4040 --reply HELP
//	ed-signal --type shm --host /run/demo.ring --reply HELP
//
// The manual page, doc/man/ed-signal.1, describes all options, the configuration file, and what differs from the tool of
// the C++ library. In short:
//
// Over udp and unixgram the message is one datagram, of at most 1024 and 65536 bytes, and nothing is awaited without
// --reply. Over tcp, unix and shm, which is shared memory, it is a line, and ed-signal waits until the service hangs up
// or sends a line. With --reply what comes is printed. INVALID, UNKNOWN and SERVICE_UNAVAILABLE are errors then, and so
// is silence; over a stream a hang-up is not, unless --expect, --value or --json asks for a certain reply. --timeout,
// 5 seconds by default, holds for all of it, and so long --retry waits for a service that doesn't listen yet.
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
	"crypto/tls"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

// retryPause is the time between two tries of --retry.
const retryPause = 100 * time.Millisecond

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
		s.onCommandLine = namesIn(env.Args)
		start := time.Now()
		if err := s.configureFrom(config, start); err != nil {
			return err
		}
		ctx, cancel := s.limit(start)
		defer cancel()
		return s.signal(ctx, hostname)
	})
}

// signaller is one run.
type signaller struct {
	options
	tool   *cli.Tool
	target receiver.Target
	// refused is the last error of --retry that nobody listens; nil before.
	refused error
}

// limit returns a context that ends at the end of --timeout.
func (s *signaller) limit(start time.Time) (context.Context, context.CancelFunc) {
	if s.timeout == 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithDeadline(context.Background(), start.Add(s.timeout))
}

// configureFrom reads the configuration file, which may have another --timeout for all that follows.
func (s *signaller) configureFrom(config string, start time.Time) error {
	ctx, cancel := s.limit(start)
	defer cancel()
	return s.configure(ctx, s.tool.Flags, config)
}

// signal sends the message, and prints the reply if that is asked for.
func (s *signaller) signal(ctx context.Context, hostname string) error {
	err := s.finish(s.tool.Flags)
	if err != nil {
		return err
	}
	m, err := s.build(hostname)
	if err != nil {
		return err
	}
	if s.target, err = s.findTarget(ctx); err != nil {
		return err
	}
	sent, shown, err := s.text(ctx, m)
	if err != nil {
		return err
	}
	security, err := s.tlsConfig(ctx)
	if err != nil {
		return err
	}
	if s.dryRun {
		if err := s.print(shown); err != nil {
			return err
		}
		s.tool.Tell("not sent: " + s.target.String())
		return nil
	}
	return s.deliver(ctx, security, sent)
}

// deliver is deliverOnce, with --retry until somebody listens.
func (s *signaller) deliver(ctx context.Context, security *tls.Config, text []byte) error {
	for {
		err := s.deliverOnce(ctx, security, text)
		if !bool(s.retry) || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) {
			return err
		}
		s.refused = err
		s.tool.Log.WithField("to", s.target).WithError(err).Info("nobody listens: trying again")
		if pause(ctx, retryPause) != nil {
			return s.nobody()
		}
	}
}

// deliverOnce sends the message and waits for what is asked for.
func (s *signaller) deliverOnce(ctx context.Context, security *tls.Config, text []byte) error {
	conn, err := s.dial(ctx, security)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := s.send(conn, text); err != nil {
		return err
	}
	switch {
	case bool(s.reply):
		return s.awaitReply(conn)
	case s.target.Datagrams():
		return nil
	}
	return s.awaitEnd(conn)
}
