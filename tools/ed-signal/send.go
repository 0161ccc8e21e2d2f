package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

const (
	// maxDatagram is the longest datagram that receivers take, in bytes. They cut what is longer.
	maxDatagram = 1024
	// maxReply bounds the reply, in bytes.
	maxReply = 64 * 1024
)

// sendDatagram sends m over UDP. Nobody tells whether it arrives.
func sendDatagram(o options, m *message.Message) error {
	text, err := m.MarshalText()
	if err != nil {
		return err
	}
	if len(text) > maxDatagram {
		return fmt.Errorf("message: %d bytes are too long for UDP, the limit is %d", len(text), maxDatagram)
	}
	conn, err := dial(o)
	if err != nil {
		return err
	}
	_, err = conn.Write(text)
	return errors.Join(err, conn.Close())
}

// sendLine sends m over TCP and returns the lines of the reply, none when the other side hangs up instead.
func sendLine(o options, m *message.Message) (reply []byte, err error) {
	text, err := m.MarshalText()
	if err != nil {
		return nil, err
	}
	conn, err := dial(o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err = conn.Write(append(text, '\n')); err == nil {
		reply, err = readLines(conn)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("%s: no reply within %v", o.address, o.timeout)
	}
	return reply, err
}

// dial connects; the time limit holds for all that is done with the connection.
func dial(o options) (net.Conn, error) {
	ctx := context.Background()
	var deadline time.Time
	if o.timeout > 0 {
		deadline = time.Now().Add(o.timeout)
		limited, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		ctx = limited
	}
	conn, err := new(net.Dialer).DialContext(ctx, o.network, o.address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// readLines reads until a read completes a line, and returns the complete lines. At the end of the input it
// returns nothing: a line without its end is none.
func readLines(r io.Reader) ([]byte, error) {
	buffer := make([]byte, maxReply)
	for length := 0; length < len(buffer); {
		n, err := r.Read(buffer[length:])
		length += n
		if end := bytes.LastIndexByte(buffer[:length], '\n'); end >= 0 {
			return buffer[:end+1], nil
		}
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("reply: no line within its first %d bytes", maxReply)
}
