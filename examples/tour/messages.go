//go:build linux

package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// pings is how many PINGs are sent over each transport, each when the one before was answered.
const pings = 500

// pinger sends PINGs and takes the PONGs.
type pinger struct {
	tour *tour
	row  *row
}

func (t *tour) pinger(transport string) *pinger {
	return &pinger{t, t.row("PING, PONG over "+transport, pings)}
}

func (p *pinger) ping(to message.Sender) error {
	return to.Send(message.New("PING").Set("sent", strconv.FormatInt(time.Now().UnixNano(), 10)))
}

// HandleMessage takes a PONG.
func (p *pinger) HandleMessage(from message.Sender, m *message.Message) error {
	sent, err := strconv.ParseInt(m.Get("sent"), 10, 64)
	if err != nil || m.Command() != "PONG" {
		return fmt.Errorf("this is no PONG: %v", m)
	}
	p.tour.saw(p.row, time.Since(time.Unix(0, sent)))
	if p.row.done() {
		return nil
	}
	return p.ping(from)
}

// over sends the pings over a stream transport.
func (p *pinger) over(d connection.Dialer) (*connection.MessageConn, error) {
	return connection.DialMessages(p.tour.loop, d, p, connection.MessageConfig{
		Opened: func(c *connection.MessageConn) error { return p.ping(c) },
	})
}

// between sends the pings over a connection whose sides are both here.
func (p *pinger) between(service message.Handler, here, there connection.Transport) error {
	if _, err := connection.NewMessageConn(p.tour.loop, here, service, connection.MessageConfig{}); err != nil {
		return err
	}
	c, err := connection.NewMessageConn(p.tour.loop, there, p, connection.MessageConfig{})
	if err != nil {
		return err
	}
	return p.ping(c)
}
