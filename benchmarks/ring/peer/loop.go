package main

import (
	"context"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// network is a way for connections of this project.
type network struct {
	listen func(o *options, loop connection.Loop, serve connection.Serve) (*connection.Listener, error)
	dialer func(o *options) connection.Dialer
	// count adds what a transport has counted. Nil: it counts nothing.
	count func(c counts, t connection.Transport)
}

func networks() map[string]network {
	return map[string]network{
		"unix": {
			listen: func(o *options, loop connection.Loop, serve connection.Serve) (*connection.Listener, error) {
				return unixsock.Listen(loop, o.path, serve, unixsock.ListenConfig{})
			},
			dialer: func(o *options) connection.Dialer { return unixsock.Dialer{Path: o.path} },
		},
		"shm": shm(),
	}
}

// add adds what t has counted; it may be nil.
func (n network) add(c counts, t connection.Transport) {
	if n.count != nil && t != nil {
		n.count(c, t)
	}
}

// serveOn serves until SIGTERM; then it prints what read, called on the loop, returns.
func (o *options) serveOn(listen func(connection.Loop) (*connection.Listener, error), read func() counts) error {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	if _, err := listen(loop); err != nil {
		return err
	}
	o.listening(func() (c counts, err error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = loop.Do(ctx, func() error {
			c = read()
			return nil
		})
		return c, err
	})
	return loop.Run(context.Background())
}

// measureOn runs what begin begins until somebody stops the loop.
func measureOn(begin func(connection.Loop) error) error {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	defer loop.Close()
	if err := begin(loop); err != nil {
		return err
	}
	return loop.Run(context.Background())
}

// burstBytes is what a producer sends in a turn of the loop: what the loop's documentation allows a callback.
const burstBytes = 64 << 10

// producer sends messages without end, a burst in a turn of the loop, one call of send each. It is a source of its own
// that is always ready until there is no room.
type producer struct {
	handle  *communicator.Handle
	burst   int
	send    func() (sent bool) // false: there is no room now
	waiting bool
}

func newProducer(loop connection.Loop, size int, send func() bool) (*producer, error) {
	p := &producer{burst: max(1, burstBytes/size), send: send}
	var err error
	if p.handle, err = loop.Add(p, communicator.Options{Name: "producer"}); err == nil {
		p.handle.MarkReadable()
	}
	return p, err
}

func (p *producer) FD() int { return communicator.NoFD }

func (p *producer) HandleRead(h *communicator.Handle) error {
	for range p.burst {
		if !p.send() {
			p.waiting = true
			return nil
		}
	}
	h.MarkReadable()
	return nil
}

// room says that there is room again.
func (p *producer) room() {
	if p.waiting {
		p.waiting = false
		p.handle.MarkReadable()
	}
}
