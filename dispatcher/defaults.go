package dispatcher

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// Service is what the default commands do to your service. Its functions are called as handlers are, on the
// goroutine of [Mux.HandleMessage]; a nil one means that the command is accepted and does nothing.
type Service struct {
	// Name is the name of the service, for the logs. It is a message name, or empty.
	Name string
	// Ready is called for READY: the registration was accepted, and from is where the service can send now. The
	// parameter my_address, if any, is the address of this service as its peer sees it.
	Ready func(from message.Sender, m *message.Message)
	// Stop is called for STOP, and with quitting true for QUITTING: the peer is going away, and if this service can't
	// do without it, it should stop as well.
	Stop func(quitting bool)
	// Restart is called for RESTART. The parameter reason, if any, is "upgrade" or "config".
	Restart func(from message.Sender, m *message.Message)
	// ReopenLogs is called for LOG_ROTATE. Its error is logged.
	ReopenLogs func() error
	// Leak is called for LEAK, to report the memory in use.
	Leak func()
	// Status is called for STATUS. It returns what the service is doing, in lines for people: see package
	// communicator/inspect. Nil: STATUS is no default command.
	Status func() string
	// Help is called for HELP. It returns the commands to list besides those that have an exact match: those that
	// patterns and functions stand for.
	Help func() []string
}

// AddDefaults adds the commands that every service understands, at PrioritySystem: your own handler of the
// same command is used instead.
//
//	ALIVE                 is answered by ABSOLUTELY, with reply_timestamp and its serial and timestamp
//	HELP                  is answered by COMMANDS, with the list of Commands and of Help
//	INVALID, UNKNOWN      are logged as errors, once a second at most
//	LEAK                  calls Leak
//	LOG_ROTATE            calls ReopenLogs
//	QUITTING, STOP        are logged and call Stop
//	READY                 calls Ready
//	RESTART               is logged and calls Restart
//	SERVICE_UNAVAILABLE   does nothing
//	STATUS                is answered by STATUS_REPORT, with the text of Status; if that can't be sent, because it is too
//	                      long for a datagram, with its first paragraph; not there without Status
//	any other             is answered by UNKNOWN, with command, unless there is a HandleUnknown
//
// Whoever can send a message can send STOP: listen only where those come who may, or give datagrams a secret
// (connection.MessageDatagramConfig.Secret). INVALID and UNKNOWN are never answered, so two services can't send
// them to each other for ever. What is told to the service is logged once a second at most. Mind that with
// definitions these commands are checked as well: those that are built in refuse, for instance, a
// SERVICE_UNAVAILABLE without parameters. AddDefaults fails with message.ErrName when the name of the service is no
// name, and with [ErrAlreadySet] when it is called once more.
func (mux *Mux) AddDefaults(service Service) error {
	if err := message.New(message.CommandReady).SetSentFromService(service.Name).Err(); err != nil {
		return fmt.Errorf("dispatcher: name of the service: %w", err)
	}
	d := &defaults{mux: mux, service: service, log: mux.log}
	if service.Name != "" {
		d.log = d.log.With("service", service.Name)
	}
	commands := map[string]message.HandlerFunc{
		message.CommandAlive:              d.alive,
		message.CommandHelp:               d.help,
		message.CommandInvalid:            d.refused,
		message.CommandLeak:               d.leak,
		message.CommandLogRotate:          d.logRotate,
		message.CommandQuitting:           d.stop,
		message.CommandReady:              d.ready,
		message.CommandRestart:            d.restart,
		message.CommandServiceUnavailable: d.nothing,
		message.CommandStop:               d.stop,
		message.CommandUnknown:            d.refused,
	}
	if service.Status != nil {
		commands[message.CommandStatus] = d.status
	}
	var added []*match
	for command, f := range commands {
		m, err := compile(Match{Command: command, Priority: PrioritySystem, Handler: f})
		if err != nil {
			return err
		}
		added = append(added, m)
	}
	err := mux.change(func(t *table) error {
		if t.defaults != nil {
			return fmt.Errorf("default commands: %w", ErrAlreadySet)
		}
		t.defaults = message.HandlerFunc(d.other)
		for _, m := range added {
			t.add(m)
		}
		return nil
	})
	if err == nil {
		mux.logMatches("match added", added...)
	}
	return err
}

// defaults are the handlers of AddDefaults.
type defaults struct {
	mux     *Mux
	service Service
	log     *slog.Logger

	refusals logger.Limited
	stops    logger.Limited
	quits    logger.Limited
	restarts logger.Limited
	reopens  logger.Limited
}

func (d *defaults) alive(from message.Sender, m *message.Message) error {
	now := d.mux.config.Now()
	reply := m.Reply(message.CommandAbsolutely).
		Set(message.ParameterReplyTimestamp, fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()))
	for _, name := range []string{message.ParameterSerial, message.ParameterTimestamp} {
		if value, found := m.Lookup(name); found {
			reply.Set(name, value)
		}
	}
	return answer(from, reply)
}

func (d *defaults) help(from message.Sender, m *message.Message) error {
	commands := d.mux.Commands()
	if d.service.Help != nil {
		commands = append(commands, d.service.Help()...)
		slices.Sort(commands)
		commands = slices.Compact(commands)
	}
	return answer(from, m.Reply(message.CommandCommands).Set(message.ParameterList, strings.Join(commands, ",")))
}

func (d *defaults) refused(_ message.Sender, m *message.Message) error {
	d.refusals.Log(d.log, slog.LevelError, "a peer refused a message", "reply", m)
	return nil
}

func (d *defaults) status(from message.Sender, m *message.Message) error {
	text := d.service.Status()
	err := answer(from, m.Reply(message.CommandStatusReport).Set(message.ParameterText, text))
	if head, _, found := strings.Cut(text, "\n\n"); err != nil && found {
		return answer(from, m.Reply(message.CommandStatusReport).Set(message.ParameterText, head))
	}
	return err
}

func (d *defaults) leak(message.Sender, *message.Message) error {
	if d.service.Leak != nil {
		d.service.Leak()
	}
	return nil
}

func (d *defaults) logRotate(message.Sender, *message.Message) error {
	if d.service.ReopenLogs != nil {
		if err := d.service.ReopenLogs(); err != nil {
			d.reopens.Log(d.log, slog.LevelError, "logs not reopened", "error", err) // no reason to end the connection
		}
	}
	return nil
}

func (d *defaults) ready(from message.Sender, m *message.Message) error {
	if d.service.Ready != nil {
		d.service.Ready(from, m)
	}
	return nil
}

func (d *defaults) stop(_ message.Sender, m *message.Message) error {
	quitting := m.Command() == message.CommandQuitting
	switch {
	case quitting:
		d.quits.Log(d.log, slog.LevelInfo, "a peer is quitting", "message", m)
	case d.service.Stop == nil:
		d.stops.Log(d.log, slog.LevelWarn, "told to stop, but the service has no Stop", "message", m)
	default:
		d.stops.Log(d.log, slog.LevelInfo, "told to stop", "message", m)
	}
	if d.service.Stop != nil {
		d.service.Stop(quitting)
	}
	return nil
}

func (d *defaults) restart(from message.Sender, m *message.Message) error {
	d.restarts.Log(d.log, slog.LevelInfo, "told to restart", "message", m)
	if d.service.Restart != nil {
		d.service.Restart(from, m)
	}
	return nil
}

func (d *defaults) nothing(message.Sender, *message.Message) error { return nil }

// other answers the commands that nobody handles. INVALID and UNKNOWN have a match of their own, without a
// tag, so they never come here.
func (d *defaults) other(from message.Sender, m *message.Message) error {
	return answer(from, m.Reply(message.CommandUnknown).Set(message.ParameterCommand, m.Command()))
}

// answer sends a reply, if there is somebody to get it.
func answer(from message.Sender, reply *message.Message) error {
	if from == nil {
		return nil
	}
	return from.Send(reply)
}
