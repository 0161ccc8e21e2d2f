package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

const (
	// sender is the service that every message comes from.
	sender = "ed_signal"
	// hidden stands for the secret in what --dry-run prints.
	hidden = "***"
)

// build makes the message, without the secret. It comes from the host of this name.
func (o *options) build(hostname string) (*message.Message, error) {
	if o.message == "" {
		return nil, cli.Usagef("no message is given")
	}
	d, err := parseDestination(o.message)
	if err != nil {
		return nil, o.placed("message", err)
	}
	// What the environment and the configuration file say are defaults.
	switch {
	case d.service != "" && o.onCommandLine["service"]:
		return nil, cli.Usagef("--service: the message %q has a service already", o.message)
	case d.server != "" && o.onCommandLine["server"]:
		return nil, cli.Usagef("--server: the message %q has a server already", o.message)
	}
	if d.service == "" {
		d.service = o.service
		if err := message.New(d.command).SetService(d.service).Err(); err != nil {
			return nil, o.placed("service", &cli.UsageError{Err: err})
		}
	}
	if d.server == "" {
		d.server = o.server
		if err := message.New(d.command).SetService("x").SetServer(d.server).Err(); err != nil {
			return nil, o.placed("server", &cli.UsageError{Err: err})
		}
	}
	m := message.New(d.command).
		SetServer(d.server).
		SetService(d.service).
		SetSentFromServer(serverName(hostname)).
		SetSentFromService(sender)
	for _, p := range o.parameters {
		name, value, _ := strings.Cut(p, "=")
		m.Set(name, value)
	}
	if err := m.Err(); err != nil {
		return nil, &cli.UsageError{Err: err}
	}
	return m, nil
}

// placed puts the place of an option in front of an error, if it comes from the configuration file.
func (o *options) placed(name string, err error) error {
	if place := o.places[name]; place != "" {
		return fmt.Errorf("%s: %w", place, err)
	}
	return err
}

// destination is what [[SERVER:]SERVICE/]COMMAND says.
type destination struct{ server, service, command string }

func parseDestination(text string) (d destination, err error) {
	d.command = text
	if address, command, found := strings.Cut(text, "/"); found {
		d.service, d.command = address, command
		if server, service, found := strings.Cut(address, ":"); found {
			if server == "" {
				return destination{}, cli.Usagef("message: no server before the colon of %q", text)
			}
			d.server, d.service = server, service
		}
		if d.service == "" {
			return destination{}, cli.Usagef("message: no service before the slash of %q", text)
		}
	}
	if err := message.New(d.command).SetServer(d.server).SetService(d.service).Err(); err != nil {
		return destination{}, &cli.UsageError{Err: err}
	}
	return d, nil
}

// serverName makes the name of a server of the name of a host, which may hold dots, dashes and first digits.
func serverName(hostname string) string {
	name, _, _ := strings.Cut(hostname, ".")
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// findSecret returns the secret, "" when there is none.
func (s *signaller) findSecret(ctx context.Context) (string, error) {
	switch {
	case s.secretFile != "":
		secret, err := receiver.ReadSecret(ctx, s.secretFile, s.tool.Stdin)
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.where("secret-file"), err)
		}
		return secret, nil
	case s.tool.Flags.Changed("secret-code"):
		return s.secret, nil
	}
	return s.tool.Getenv(receiver.SecretVariable), nil
}

// text is what is sent, and what --dry-run prints of it.
func (s *signaller) text(ctx context.Context, m *message.Message) (sent, shown []byte, err error) {
	secret, err := s.findSecret(ctx)
	switch {
	case err != nil:
		return nil, nil, err
	case secret == "":
	case s.target.Datagrams(): // as the C++ tool does
		m.Set(message.ParameterSecretCode, secret)
	default:
		s.tool.Log.WithField("type", s.target.Network).Info("the secret is for datagrams only: not sent")
	}
	if sent, err = m.MarshalText(); err != nil {
		return nil, nil, err
	}
	if err := s.target.CheckLength(len(sent)); err != nil {
		return nil, nil, err
	}
	if m.Has(message.ParameterSecretCode) {
		m = m.Clone().Set(message.ParameterSecretCode, hidden)
	}
	if shown, err = m.MarshalText(); err != nil {
		return nil, nil, err
	}
	if !s.target.Datagrams() {
		sent = append(sent, '\n')
	}
	return sent, append(shown, '\n'), nil
}
