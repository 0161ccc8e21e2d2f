package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	// maxReply bounds what is read of all replies together, in bytes.
	maxReply = 4 << 20
	// maxReplyDatagram is the longest datagram that is taken for a reply, in bytes.
	maxReplyDatagram = 64 << 10
	// minRead is for how much there is room at least when a stream is read, in bytes.
	minRead = 16 << 10
)

var (
	errLongReply = fmt.Errorf("longer than %d bytes", maxReply)
	errLongFrame = fmt.Errorf("a datagram longer than %d bytes", maxReplyDatagram)
	errHalfLine  = errors.New("hung up in the middle of a line")
	errHalfTLS   = errors.New("hung up in the middle of a TLS record")
)

// inbox is where replies come from.
type inbox interface {
	// next waits for a reply, and returns all that came at the same moment, each as it is on the wire; blank ones are
	// left out. The error is io.EOF when the other side has hung up.
	next() ([][]byte, error)
}

// lineReader is the inbox of a stream. A reply is a line, with its line feed.
type lineReader struct {
	r      io.Reader
	buffer []byte // all that was read
	start  int    // of the line that isn't complete
}

func (l *lineReader) next() ([][]byte, error) {
	for {
		n, err := l.fill()
		if end := bytes.LastIndexByte(l.buffer[len(l.buffer)-n:], '\n'); end >= 0 {
			end += len(l.buffer) - n + 1
			whole := l.buffer[l.start:end]
			l.start = end
			if lines := splitLines(whole); len(lines) > 0 {
				return lines, nil // an error comes again with the next read
			}
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF): // over TLS also an end without the alert that says so, but not within a record
			return nil, err
		case l.start < len(l.buffer):
			return nil, errHalfLine
		default:
			return nil, io.EOF
		}
	}
}

// fill reads once, behind what is in the buffer.
func (l *lineReader) fill() (n int, err error) {
	length := len(l.buffer)
	if length == maxReply {
		return 0, errLongReply
	}
	l.buffer = slices.Grow(l.buffer, min(minRead, maxReply-length))
	n, err = l.r.Read(l.buffer[length:min(cap(l.buffer), maxReply)])
	l.buffer = l.buffer[:length+n]
	return n, err
}

// splitLines returns the lines that aren't blank, with their line feeds.
func splitLines(text []byte) (lines [][]byte) {
	for line := range bytes.Lines(text) {
		if !blank(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

func blank(line []byte) bool { return len(bytes.Trim(line, blanks)) == 0 }

// datagramReader is the inbox of a socket of datagrams, each of which is a reply.
type datagramReader struct {
	r     io.Reader
	total int
}

func (d *datagramReader) next() ([][]byte, error) {
	buffer := make([]byte, maxReplyDatagram+1)
	for {
		n, err := d.r.Read(buffer)
		if err != nil {
			return nil, err
		}
		switch d.total += n; {
		case n > maxReplyDatagram:
			return nil, errLongFrame
		case d.total > maxReply:
			return nil, errLongReply
		case !blank(buffer[:n]):
			return [][]byte{buffer[:n:n]}, nil
		}
	}
}
