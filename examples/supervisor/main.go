//go:build linux

// Command supervisor keeps commands running.
//
//	go run ./examples/supervisor --config supervisor.conf --socket /tmp/supervisor.sock --log supervisor.log
//
// Its configuration file has a line for each command, and comments:
//
//	# name = command and arguments, with blanks between them
//	web    = caddy run --config /etc/caddy/Caddyfile
//	ticker = sh /usr/local/bin/ticker.sh 10
//
// There are no quotes and no shell: what needs them is put into a script.
//
// What the commands write goes to the log, line by line. One that ends is started again after a pause, which grows
// from time to time unless the command has run for ten seconds (--pauses). When the file is changed, what is new is
// started, what is gone is stopped, what has changed is stopped and started; a file with a mistake changes nothing.
// SIGHUP opens the log again, after logrotate has renamed it.
//
// The socket takes messages: STATUS tells of each command its state, HELP lists the others.
//
//	$ echo STATUS | socat - UNIX-CONNECT:/tmp/supervisor.sock
//	STATUS_REPORT text=ticker: running, pid 4711, since 2026-11-21T10:00:00Z, 2 restarts\n
//
// STOP, SIGTERM and SIGINT end it: each command gets SIGTERM, and after --kill-delay SIGKILL. What a command has started
// and left behind is killed, unless it has a process group of its own.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

const (
	maxCommands = 1000
	maxLine     = 16 << 10         // longer lines of a command are cut in pieces
	healthy     = 10 * time.Second // who has run for that long begins with the first pause again
	patience    = 5 * time.Second  // for all to end, on top of the kill delay and with the wait delay
	waitDelay   = time.Second      // for the output of what a command has left behind
)

func main() {
	s := supervisor{services: map[string]*service{}}
	pflag.StringVar(&s.config, "config", "supervisor.conf", "read the commands from `FILE`")
	pflag.StringVar(&s.socket, "socket", "", "listen for messages on the Unix socket `PATH`")
	pflag.StringVar(&s.logName, "log", "", "append the log to `FILE` instead of standard error")
	pflag.DurationVar(&s.killDelay, "kill-delay", command.DefaultKillDelay, "how long a command may take to end")
	pauses := pflag.String("pauses", "0.1,0.5,2,10,30", "pauses before a command is started again, in seconds")
	pflag.Parse()
	s.killDelay = max(s.killDelay, time.Millisecond)
	var err error
	if s.pauses, err = connection.ParsePauses(*pauses); err == nil {
		err = s.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		os.Exit(1)
	}
}

// supervisor has all that the program knows. All happens on one goroutine, that of its loop, so nothing is locked.
type supervisor struct {
	config, socket, logName string
	killDelay               time.Duration
	pauses                  []time.Duration

	loop     *communicator.Communicator
	logFile  *os.File // nil: standard error
	services map[string]*service
	ending   bool
}

func (s *supervisor) run() (err error) {
	if err := s.openLog(); err != nil {
		return err
	}
	if s.loop, err = communicator.New(communicator.Config{}); err != nil { // it logs by logrus, as this program does
		return err
	}
	defer s.loop.Close()
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.watch(); err != nil {
		return err
	}
	stop := func(sig os.Signal) { s.end(sig.String()) }
	if _, err := signals.Terminate(s.loop, s.killDelay+patience, stop, communicator.Options{}); err != nil {
		return err
	}
	if _, err := signals.Hangup(s.loop, s.openLog, communicator.Options{}); err != nil {
		return err
	}
	commands, err := readConfig(s.config)
	if err != nil {
		return err
	}
	s.apply(commands)
	logrus.WithField("commands", len(commands)).Info("the supervisor is ready")
	err = s.loop.Run(context.Background())
	logrus.Info("the supervisor has ended")
	return err
}

// end begins the end: nothing is started any more. The loop's Shutdown, which follows, stops the commands.
func (s *supervisor) end(reason string) {
	s.ending = true
	logrus.WithField("reason", reason).Info("the supervisor ends")
}

// openLog opens the log file, for the first time or again.
func (s *supervisor) openLog() error {
	if s.logName == "" {
		return nil
	}
	f, err := os.OpenFile(s.logName, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	logrus.SetOutput(f)
	if s.logFile != nil {
		s.logFile.Close()
	}
	s.logFile = f
	return nil
}

// listen takes messages on the Unix socket.
func (s *supervisor) listen() error {
	mux := dispatcher.New(dispatcher.Config{})
	err := mux.AddDefaults(dispatcher.Service{
		Name:       "supervisor",
		Status:     s.status,
		ReopenLogs: s.openLog,
		Stop: func(quitting bool) {
			if !quitting { // a client that goes away sends QUITTING
				s.end("STOP")
				s.loop.Shutdown(s.killDelay + patience)
			}
		},
	})
	if err != nil || s.socket == "" {
		return err
	}
	_, err = unixsock.Listen(s.loop, s.socket, connection.Messages(mux, connection.MessageConfig{}), unixsock.ListenConfig{})
	return err
}

// status is the text of STATUS: a line for each command.
func (s *supervisor) status() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.services)) {
		fmt.Fprintf(&text, "%s: %s, %d restarts\n", name, s.services[name].state(), s.services[name].restarts)
	}
	return text.String()
}

// watch reads the configuration again whenever it was written, or another file has taken its place.
func (s *supervisor) watch() error {
	watcher, err := filewatch.New(s.loop, func(e filewatch.Event) error {
		if s.ending {
			return nil
		}
		commands, err := readConfig(s.config)
		if err != nil {
			logrus.WithError(err).Error("the configuration can't be used; all stays as it is")
			return nil
		}
		logrus.WithField("event", e.Op).Info("the configuration was read again")
		s.apply(commands)
		return nil
	}, filewatch.Config{})
	if err != nil {
		return err
	}
	return watcher.Add(s.config, filewatch.Watch{Ops: filewatch.Finished})
}

// readConfig reads the commands, with their arguments, by name.
func readConfig(file string) (map[string][]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	commands := map[string][]string{}
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		args := strings.Fields(value)
		switch {
		case !found || len(args) == 0:
			err = errors.New(`not of the form "name = command"`)
		case name == "" || strings.ContainsAny(name, " \t:"):
			err = fmt.Errorf("%q is no name", name)
		case commands[name] != nil:
			err = fmt.Errorf("there is another %q", name)
		case len(commands) == maxCommands:
			err = fmt.Errorf("more than %d commands", maxCommands)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
		commands[name] = args
	}
	return commands, nil
}

// apply makes the services those of the configuration.
func (s *supervisor) apply(commands map[string][]string) {
	for name, v := range s.services {
		if commands[name] == nil {
			v.change(nil)
		}
	}
	for name, args := range commands {
		v := s.services[name]
		if v == nil {
			v = &service{supervisor: s, name: name, log: logrus.WithField("command", name)}
			s.services[name] = v
		}
		if !slices.Equal(v.args, args) {
			v.change(args)
		}
	}
}

// service is one of the commands.
type service struct {
	supervisor *supervisor
	name       string
	log        *logrus.Entry
	args       []string // nil: it is no longer wanted
	process    *command.Process
	since      time.Time    // when it was started, or stopped
	stopping   bool         // so that its end is no failure
	restarts   int          // since the supervisor runs
	failures   int          // in a row
	retry      *timer.Timer // starts it again
}

// state is what STATUS tells of it.
func (v *service) state() string {
	since := v.since.UTC().Format(time.RFC3339)
	switch {
	case v.stopping:
		return fmt.Sprintf("stopping, pid %d, since %s", v.process.PID(), since)
	case v.process != nil:
		return fmt.Sprintf("running, pid %d, since %s", v.process.PID(), since)
	}
	return fmt.Sprintf("waiting, until %s", v.retry.Due().UTC().Format(time.RFC3339))
}

// change gives it another command, or none. One that runs is stopped first; what then is to be done is done at its end.
func (v *service) change(args []string) {
	v.args = args
	if v.process != nil {
		if !v.stopping {
			v.log.Info("stopping it")
			v.stopping, v.since = true, time.Now()
			v.process.Stop(v.supervisor.killDelay)
		}
		return
	}
	if v.retry != nil {
		v.retry.Stop()
	}
	v.next()
}

// next does what is to be done when it doesn't run.
func (v *service) next() {
	v.failures = 0
	if v.args == nil {
		delete(v.supervisor.services, v.name)
		return
	}
	v.start()
}

func (v *service) start() {
	p, err := command.Start(v.supervisor.loop, exec.Command(v.args[0], v.args[1:]...), command.Config{
		Name:      v.name,
		Stdout:    connection.Split(splitLines, connection.FrameFunc(v.line)),
		Combined:  true,
		Exit:      v.exit,
		Group:     true, // what it has started is stopped with it
		KillRest:  true, // and does not outlive it
		KillDelay: v.supervisor.killDelay,
		WaitDelay: waitDelay,
	})
	v.since = time.Now()
	if err != nil {
		v.log.WithError(err).Error("it can't be started")
		v.again()
		return
	}
	v.process = p
	v.log.WithField("pid", p.PID()).Info("it was started")
}

// line logs what the command has written.
func (v *service) line(_ *connection.Stream, line []byte) error {
	v.log.Info(string(line))
	return nil
}

// splitLines is bufio.ScanLines, but cuts long lines.
func splitLines(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if len(data) > maxLine && bytes.IndexByte(data[:maxLine+1], '\n') < 0 {
		return maxLine, data[:maxLine], nil
	}
	return bufio.ScanLines(data, atEOF)
}

// exit is called when the command has ended.
func (v *service) exit(_ *command.Process, e procwatch.Event) error {
	stopped := v.stopping
	v.process, v.stopping = nil, false
	switch {
	case v.supervisor.ending:
		v.log.Info(e)
		delete(v.supervisor.services, v.name)
	case stopped:
		v.log.Info(e)
		v.next()
	default:
		v.log.Warn(e)
		v.again()
	}
	return nil
}

// again starts the command again, after a pause.
func (v *service) again() {
	if time.Since(v.since) > healthy {
		v.failures = 0
	}
	pauses := v.supervisor.pauses
	pause := max(time.Millisecond, pauses[min(v.failures, len(pauses)-1)])
	v.failures++
	var err error
	v.retry, err = timer.After(v.supervisor.loop, pause, func(*timer.Timer) error {
		v.retry = nil
		v.restarts++
		v.start()
		return nil
	}, communicator.Options{Name: v.name + " restart"})
	if err != nil {
		v.log.WithError(err).Error("it is not started again") // the loop has ended
	}
}
