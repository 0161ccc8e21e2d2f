package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// lineReader reads lines, of which it holds no more than a limit in memory.
type lineReader struct {
	r    *bufio.Reader
	max  int    // bytes of a line without its end
	long []byte // the line, when it is not whole in the buffer of r
	rest bool   // the rest of a line that is too long comes next
	end  bool   // the input has ended, with a line
}

// reset makes l read from r.
func (l *lineReader) reset(r io.Reader) {
	l.r.Reset(r)
	l.rest, l.end = false, false
}

// next returns the next line without its end, LF or CR LF; it is valid until the next call. Of a line that is too
// long it returns the first max+1 bytes, as soon as they are there. The error is io.EOF after the last line; a
// line that any other error cuts short is lost.
func (l *lineReader) next() ([]byte, error) {
	for l.rest {
		_, err := l.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		l.rest = err != nil
	}
	if l.end {
		return nil, io.EOF
	}
	l.long = l.long[:0]
	for {
		line, err := l.r.ReadSlice('\n')
		ended := err == nil
		switch {
		case ended:
			line = line[:len(line)-1]
		case errors.Is(err, io.EOF) && len(l.long)+len(line) > 0:
			ended, l.end = true, true
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
		if !ended || len(l.long) > 0 {
			// Two more than fit: the first may be the CR of the end.
			l.long = append(l.long, line[:min(len(line), l.max+2-len(l.long))]...)
			line = l.long
		}
		switch {
		case len(line) > l.max+1:
			l.rest = !ended
			return line[:l.max+1], nil
		case ended:
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
	}
}
