package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const (
	// sender is the service that every message comes from.
	sender = "ed_signal"
	// secretVariable is the environment variable with the secret, for those who give none otherwise.
	secretVariable = "ED_SIGNAL_SECRET"
	// maxSecret bounds the first line of a --secret-file, in bytes.
	maxSecret = 64 << 10
	// hidden stands for the secret in what --dry-run prints.
	hidden = "***"
)

// The longest datagrams, in bytes, as the C++ library and package connection have them: receivers cut what is longer.
const (
	maxUDP      = 1024
	maxUnixgram = 65536
)

// build makes the message, without the secret. It comes from the host of this name.
func (o *options) build(hostname string) (*message.Message, error) {
	if o.message == "" {
		return nil, cli.Usagef("no message is given")
	}
	d, err := parseDestination(o.message)
	if err != nil {
		return nil, err
	}
	switch {
	case d.service != "" && o.service != "":
		return nil, cli.Usagef("--service: the message %q has a service already", o.message)
	case d.server != "" && o.server != "":
		return nil, cli.Usagef("--server: the message %q has a server already", o.message)
	}
	if d.service == "" {
		d.service = o.service
	}
	if d.server == "" {
		d.server = o.server
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
func (s *signaller) findSecret() (string, error) {
	switch {
	case s.secretFile == "-":
		secret, err := firstLine(s.tool.Stdin)
		if err != nil {
			return "", fmt.Errorf("--secret-file: the standard input: %w", err)
		}
		return secret, nil
	case s.secretFile != "":
		return secretOfFile(s.secretFile)
	case s.tool.Flags.Changed("secret-code") || s.tool.Flags.Changed("secret-file"):
		return s.secret, nil
	}
	return s.tool.Getenv(secretVariable), nil
}

func secretOfFile(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("--secret-file: %w", err)
	}
	defer func() { _ = f.Close() }()
	secret, err := firstLine(f)
	if err != nil {
		return "", fmt.Errorf("--secret-file: %s: %w", file, err)
	}
	return secret, nil
}

var (
	errNoSecret   = errors.New("the first line is empty")
	errLongSecret = fmt.Errorf("the first line is longer than %d bytes", maxSecret)
)

// firstLine reads the first line and not much beyond it.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxSecret+1)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	ended := strings.HasSuffix(line, "\n")
	switch line = strings.TrimRight(line, "\r\n"); {
	case line == "":
		return "", errNoSecret
	case !ended && len(line) > maxSecret:
		return "", errLongSecret
	}
	return line, nil
}

// text is what is sent, and what --dry-run prints of it.
func (s *signaller) text(m *message.Message) (sent, shown []byte, err error) {
	if secret, err := s.findSecretFor(m); err != nil {
		return nil, nil, err
	} else if secret != "" {
		m.Set(message.ParameterSecretCode, secret)
	}
	if sent, err = m.MarshalText(); err != nil {
		return nil, nil, err
	}
	limit := maxUDP
	if s.target.network == typeUnixgram {
		limit = maxUnixgram
	}
	if s.target.datagrams() && len(sent) > limit {
		return nil, nil, fmt.Errorf("the message has %d bytes, a datagram over %s at most %d",
			len(sent), s.target.network, limit)
	}
	if m.Has(message.ParameterSecretCode) {
		m = m.Clone().Set(message.ParameterSecretCode, hidden)
	}
	if shown, err = m.MarshalText(); err != nil {
		return nil, nil, err
	}
	if !s.target.datagrams() {
		sent = append(sent, '\n')
	}
	return sent, append(shown, '\n'), nil
}

// findSecretFor is findSecret where a secret is sent: with datagrams, as the C++ tool does.
func (s *signaller) findSecretFor(m *message.Message) (string, error) {
	if s.target.datagrams() {
		return s.findSecret()
	}
	if s.secret != "" || s.secretFile != "" || s.tool.Getenv(secretVariable) != "" {
		s.tool.Log.WithField("type", s.target.network).Info("the secret is for datagrams only: not sent")
	}
	return "", nil
}
