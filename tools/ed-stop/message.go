//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const (
	defaultPort = "4041"
	sender      = "ed_stop" // the service that the message is from
	maxDatagram = 1024      // bytes, as the services of the C++ library read
	maxSecret   = 64 << 10

	secretVariable = "ED_SIGNAL_SECRET"
)

// errNoRoom: the service didn't take the message in time.
var errNoRoom = errors.New("the receiver did not take it in time")

// request is a message that asks the service to stop.
type request struct {
	network, address string
	text             []byte
}

// request makes the message of the command line.
func (o *options) request(tool *cli.Tool) (*request, error) {
	network, address, err := parseTarget(o.message)
	if err != nil {
		return nil, cli.Usagef("--message: %w", err)
	}
	r := &request{network: network, address: address}
	m := message.New(message.CommandStop).SetSentFromService(sender)
	if r.datagram() {
		secret, err := o.secret(tool)
		if err != nil {
			return nil, fmt.Errorf("--secret-file: %w", err)
		}
		if secret != "" {
			m.Set(message.ParameterSecretCode, secret)
		}
	}
	if r.text, err = m.MarshalText(); err != nil {
		return nil, err
	}
	switch {
	case !r.datagram():
		r.text = append(r.text, '\n')
	case len(r.text) > maxDatagram:
		return nil, fmt.Errorf("the message has %d bytes, more than the %d of a datagram: the secret is too long", len(r.text), maxDatagram)
	}
	return r, nil
}

func (r *request) datagram() bool { return r.network == "udp" || r.network == "unixgram" }

// secret returns the first line of --secret-file, or else what the environment has.
func (o *options) secret(tool *cli.Tool) (string, error) {
	if o.secretFile == "" {
		return tool.Getenv(secretVariable), nil
	}
	in := tool.Stdin
	if o.secretFile != "-" {
		file, err := os.Open(o.secretFile)
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxSecret)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("its first line is empty")
	}
	return line, nil
}

// parseTarget reads where a message is sent to: [udp:|tcp:]HOST[:PORT], unix:PATH or unixgram:PATH.
func parseTarget(text string) (network, address string, err error) {
	network, address, _ = strings.Cut(text, ":")
	switch network {
	case "unix", "unixgram":
		if address == "" {
			err = fmt.Errorf("%q has no path", text)
		}
		return network, address, err
	case "udp", "tcp":
	default:
		network, address = "udp", text
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil { // there is no port
		host, port = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]"), defaultPort
	}
	port = cmp.Or(port, defaultPort)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" || strings.ContainsAny(host, "[]") {
		return "", "", fmt.Errorf("%q is not an address HOST[:PORT]", text)
	}
	return network, net.JoinHostPort(host, port), nil
}

// ask sends the message without keeping the loop. The next step follows when that has failed, or its time is over.
func (p *process) ask() (err error) {
	p.asked, err = worker.Go(p.loop, p.request.send, func(err error) {
		p.asked = nil
		if !p.watch.Handle().Active() {
			return
		}
		if err != nil {
			p.log.Warn("the message could not be sent", "service", p.name, "network", p.request.network,
				"address", p.request.address, "error", err)
		}
		p.timer.Stop()
		p.next()
	}, communicator.Options{Name: "message", Background: true})
	return err
}

// send sends the message, and stays connected until ctx ends, so that the service isn't cut off in what it says about
// it. What it says is not looked at.
func (r *request) send(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, r.network, r.address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	if _, err := conn.Write(r.text); err != nil {
		if ctx.Err() != nil {
			return errNoRoom
		}
		return err
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, syscall.ECONNREFUSED) { // a datagram that nobody takes
		return err
	}
	<-ctx.Done() // a service that hangs up is not gone
	return nil
}
