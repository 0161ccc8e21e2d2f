package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
)

// bufferSize is what is read at once of a flow.
const bufferSize = 64 << 10

// serveNet is package net with a goroutine that blocks, and a write for each message.
func serveNet(o *options) error {
	listener, err := net.Listen("unix", o.path)
	if err != nil {
		return err
	}
	var served atomic.Uint64
	o.listening(func() (counts, error) { return counts{"served": int64(served.Load())}, nil })
	c, err := listener.Accept()
	if err != nil {
		return err
	}
	out, in := newContent(o), make([]byte, o.size)
	for {
		if o.flow {
			_, err = c.Write(out.message())
			served.Store(out.next)
		} else if _, err = io.ReadFull(c, in); err == nil {
			_, err = c.Write(o.spoiled(in, served.Add(1)))
		}
		if err != nil {
			select {} // the client has gone; SIGTERM follows
		}
	}
}

func measureNet(o *options, m *meter) error {
	c, err := net.Dial("unix", o.path)
	if err != nil {
		return err
	}
	defer c.Close()
	if o.flow {
		return flowNet(c, &pieces{content: *newContent(o), meter: m})
	}
	out, in := newContent(o), make([]byte, o.size)
	for more := true; more; {
		message := out.message()
		sent := m.now()
		if _, err := c.Write(message); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, in); err != nil {
			return closed(err)
		}
		now := m.now()
		if !bytes.Equal(in, message) {
			return errBytes
		}
		more = m.answered(sent, now)
	}
	return nil
}

func flowNet(c net.Conn, p *pieces) error {
	buf, kept := make([]byte, bufferSize), 0
	for {
		n, err := c.Read(buf[kept:])
		if err != nil {
			return closed(err)
		}
		taken, more, err := p.take(buf[:kept+n])
		if err != nil || !more {
			return err
		}
		kept = copy(buf, buf[taken:kept+n])
	}
}

// closed names the end of the file.
func closed(err error) error {
	if errors.Is(err, io.EOF) {
		return errClosed
	}
	return err
}
