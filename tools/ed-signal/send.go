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

// send sends m and returns what is to be printed of the reply.
func send(o options, m *message.Message) (reply []byte, err error) {
	text, err := m.MarshalText()
	if err != nil {
		return nil, err
	}
	if o.network == "udp" && len(text) > maxDatagram {
		return nil, fmt.Errorf("message: %d bytes are too long for UDP, the limit is %d", len(text), maxDatagram)
	}
	if o.network != "udp" {
		text = append(text, '\n')
	}
	conn, err := dial(o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err = conn.Write(text); err != nil {
		return nil, err
	}
	reply, err = o.await(conn)
	switch {
	case !o.reply && errors.Is(err, os.ErrDeadlineExceeded):
		return nil, nil // no reply was asked for
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("%s: no reply within %v", o.address, o.timeout)
	case !o.reply:
		return nil, err
	}
	return reply, err
}

// await waits for what follows the message. Over UDP nobody tells whether a message arrived. Over TCP the
// other side's line or hang-up tells that it was read; where no reply is asked for, ending our side lets it
// hang up at once.
func (o options) await(conn net.Conn) ([]byte, error) {
	tcp, ok := conn.(*net.TCPConn)
	switch {
	case !ok && !o.reply:
		return nil, nil
	case !ok:
		buffer := make([]byte, maxReply)
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		return append(buffer[:n], '\n'), nil
	case !o.reply:
		if err := tcp.CloseWrite(); err != nil {
			return nil, err
		}
	}
	return readLines(conn)
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
