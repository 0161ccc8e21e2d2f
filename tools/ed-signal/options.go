package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

const (
	defaultPort    = "4041"
	defaultAddress = "127.0.0.1:" + defaultPort
	defaultTimeout = 5 * time.Second
)

// sender is the service of the sender of every message.
const sender = "ed_signal"

// options is the command line.
type options struct {
	network    string // "udp" or "tcp"
	address    string // host:port
	timeout    time.Duration
	message    string // [[server:]service/]command
	server     string
	service    string
	parameters []string // name[=value]
	secret     string
	reply      bool

	help, version bool
	usage         string
}

// parseOptions reads the command line. What the message is made of is checked by build.
func parseOptions(args []string) (options, error) {
	var o options
	flags := pflag.NewFlagSet("ed-signal", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	flags.StringVarP(&o.address, "host", "H", defaultAddress, "send to `ADDRESS[:PORT]`")
	flags.StringVarP(&o.network, "type", "t", "udp", "send over `udp|tcp`")
	flags.BoolVarP(&o.reply, "reply", "r", false, "wait for the reply and print it; no reply is an error")
	flags.StringArrayVarP(&o.parameters, "param", "p", nil, "add a parameter, `NAME[=VALUE]` (repeatable)")
	plainBefore := 0
	flags.FuncP("message", "m", "`[[SERVER:]SERVICE/]COMMAND`, as the plain argument; the last one counts",
		func(text string) error {
			o.message, plainBefore = text, flags.NArg()
			return nil
		})
	flags.StringVarP(&o.server, "server", "s", "", "send to the services of this `SERVER`; needs a service")
	flags.StringVarP(&o.service, "service", "S", "", "send to this `SERVICE`")
	flags.StringVarP(&o.secret, "secret-code", "c", "", "add this `SECRET` for the receiver (UDP, ignored over TCP)")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout, "give up after `DURATION`, waiting included; 0 waits for ever")
	flags.BoolVarP(&o.help, "help", "h", false, "print this and exit")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")

	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if n := flags.NArg(); n > plainBefore {
		o.message = flags.Arg(n - 1)
	}
	o.usage = "Usage: ed-signal [options] [[SERVER:]SERVICE/]COMMAND\n\nSend one message to a service.\n\n" + flags.FlagUsages()
	if o.help || o.version {
		return o, nil
	}

	if o.network != "udp" && o.network != "tcp" {
		return options{}, fmt.Errorf("--type: %q is neither udp nor tcp", o.network)
	}
	if o.timeout < 0 {
		return options{}, fmt.Errorf("--timeout: %v is negative", o.timeout)
	}
	o.address = withPort(o.address)
	return o, nil
}

// withPort adds the default port to an address without a port.
func withPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	host := address
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return net.JoinHostPort(host, defaultPort)
}

// build makes the message.
func (o options) build(hostname string) (*message.Message, error) {
	if o.message == "" {
		return nil, errors.New("message: none given, see --help")
	}
	server, service, command := o.server, o.service, o.message
	if address, rest, found := strings.Cut(command, "/"); found {
		if service != "" {
			return nil, fmt.Errorf("--service: the message %q has a service already", o.message)
		}
		command, service = rest, address
		if first, second, found := strings.Cut(address, ":"); found {
			if server != "" {
				return nil, fmt.Errorf("--server: the message %q has a server already", o.message)
			}
			if first == "" {
				return nil, fmt.Errorf("message: no server before the colon of %q", o.message)
			}
			server, service = first, second
		}
		if service == "" {
			return nil, fmt.Errorf("message: no service before the slash of %q", o.message)
		}
	}

	m := message.New(command).
		SetServer(server).
		SetService(service).
		SetSentFromServer(serverName(hostname)).
		SetSentFromService(sender)
	for _, p := range o.parameters {
		name, value, _ := strings.Cut(p, "=")
		m.Set(name, value)
	}
	if o.network == "udp" && o.secret != "" {
		m.Set(message.ParameterSecretCode, o.secret)
	}
	return m, m.Err()
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
