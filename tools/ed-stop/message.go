//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

// sender is the service that the message is from.
const sender = "ed_stop"

// errNoRoom: the service didn't take the message in time.
var errNoRoom = errors.New("the receiver did not take it in time")

// request is a message that asks the service to stop.
type request struct {
	receiver.Target
	text []byte
}

// request makes the message of the command line.
func (o *options) request(tool *cli.Tool) (*request, error) {
	target, err := parseTarget(o.message)
	if err != nil {
		return nil, cli.Usagef("--message: %w", err)
	}
	secret, err := o.secret(tool, target)
	if err != nil {
		return nil, fmt.Errorf("--secret-file: %w", err)
	}
	m := message.New(message.CommandStop).SetSentFromService(sender)
	if secret != "" {
		m.Set(message.ParameterSecretCode, secret)
	}
	r := &request{Target: target}
	if r.text, err = m.MarshalText(); err != nil {
		return nil, err
	}
	if err := r.CheckLength(len(r.text)); err != nil {
		return nil, fmt.Errorf("%w: the secret is too long", err)
	}
	if !r.Datagrams() {
		r.text = append(r.text, '\n')
	}
	return r, nil
}

// secret returns what goes into a message to the target, from --secret-file or else the environment. The file is read,
// within --timeout, also where streams have no secret: one that is wrong there is a mistake all the same.
func (o *options) secret(tool *cli.Tool, target receiver.Target) (secret string, err error) {
	if o.secretFile == "" {
		secret = tool.Getenv(receiver.SecretVariable)
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
		defer cancel()
		if secret, err = receiver.ReadSecret(ctx, o.secretFile, tool.Stdin); err != nil {
			return "", err
		}
	}
	if secret != "" && !target.Datagrams() {
		tool.Log.WithField("network", target.Network).Info("the secret is left out: only datagrams have one")
		return "", nil
	}
	return secret, nil
}

// parseTarget reads where a message is sent to: [udp:|tcp:]HOST[:PORT], unix:PATH, unixgram:PATH or shm:PATH.
func parseTarget(text string) (receiver.Target, error) {
	network, address, _ := strings.Cut(text, ":")
	if !slices.Contains(receiver.Networks(), network) {
		network, address = receiver.UDP, text
	}
	target, err := receiver.Parse(network, address)
	if errors.Is(err, receiver.ErrPath) {
		err = fmt.Errorf("%w: write unix:, unixgram: or shm: in front of it", err)
	}
	return target, err
}

// ask does the step that sends the message, without keeping the loop. The next one follows when that has failed, or its
// time is over.
func (p *process) ask(now step) (err error) {
	p.log.Info("sending STOP", "service", p.name, "pid", p.watch.PID(), "wait", now.wait, "network", p.request.Network,
		"address", p.request.Address)
	p.asked, err = worker.Go(p.loop, p.request.send, func(err error) {
		p.asked = nil
		if !p.watch.Handle().Active() {
			return
		}
		if err != nil {
			p.log.Warn("the message could not be sent", "service", p.name, "network", p.request.Network,
				"address", p.request.Address, "error", err)
		}
		p.timer.Stop()
		p.next()
	}, communicator.Options{Name: "message", Background: true})
	return err
}

// send sends the message, and takes until ctx ends unless that fails: a service that hangs up is not gone.
func (r *request) send(ctx context.Context) error {
	if err := r.deliver(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// deliver sends the message, and stays connected until the service hangs up or ctx ends, so that the service isn't cut
// off in what it says about it. What it says is not looked at.
func (r *request) deliver(ctx context.Context) error {
	conn, err := r.Dial(ctx, net.Dialer{})
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
	return nil
}
