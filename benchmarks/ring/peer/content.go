package main

import (
	"encoding/binary"
	"errors"
)

var (
	errClosed  = errors.New("the server closed")
	errBytes   = errors.New("wrong bytes")
	errMissing = errors.New("a message is missing, or comes twice")
	errLength  = errors.New("wrong length")
)

// content makes the messages of one end: the number in the first 8 bytes, the rest the same in all, as in
// ../c/window.h.
type content struct {
	bytes []byte
	rest  uint64 // the sum of the words behind the number
	next  uint64 // number
	spoil uint64
}

func newContent(o *options) *content {
	c := &content{bytes: make([]byte, o.size), spoil: o.spoil}
	for i := 1; i < o.size/8; i++ {
		const golden = 0x9e3779b97f4a7c15
		binary.LittleEndian.PutUint64(c.bytes[8*i:], uint64(i)*golden)
	}
	c.rest = addUp(c.bytes)
	return c
}

// message returns the next message. It is valid until the next call.
func (c *content) message() []byte {
	binary.LittleEndian.PutUint64(c.bytes, c.next)
	c.next++
	if c.next == c.spoil {
		c.bytes[len(c.bytes)-1] ^= 1
	}
	return c.bytes
}

// check compares a message of a flow with what has to come.
func (c *content) check(message []byte) error {
	switch {
	case len(message) != len(c.bytes):
		return errLength
	case binary.LittleEndian.Uint64(message) != c.next:
		return errMissing
	case addUp(message) != c.next+c.rest:
		return errBytes
	}
	c.next++
	return nil
}

// spoiled is a server's echo of message, whose number among all is n, from 1.
func (o *options) spoiled(message []byte, n uint64) []byte {
	if n == o.spoil {
		message[len(message)-1] ^= 1
	}
	return message
}

// addUp returns the sum of the words of 8 bytes, so it reads every byte.
func addUp(p []byte) uint64 {
	var a, b, c, d uint64
	for len(p) >= 32 {
		a += binary.LittleEndian.Uint64(p)
		b += binary.LittleEndian.Uint64(p[8:])
		c += binary.LittleEndian.Uint64(p[16:])
		d += binary.LittleEndian.Uint64(p[24:])
		p = p[32:]
	}
	for ; len(p) >= 8; p = p[8:] {
		a += binary.LittleEndian.Uint64(p)
	}
	return a + b + c + d
}

// pieces takes the messages of a stream in the pieces in which they come.
type pieces struct {
	content
	meter *meter
	at    int // bytes of the message that have come
	sum   uint64
}

// take reads whole words and returns how many bytes these were. What is left belongs in front of the next piece.
func (p *pieces) take(data []byte) (n int, more bool, err error) {
	for len(data)-n >= 8 {
		part := data[n : n+min((len(data)-n)&^7, len(p.bytes)-p.at)]
		if p.at == 0 && binary.LittleEndian.Uint64(part) != p.next {
			return n, false, errMissing
		}
		p.sum += addUp(part)
		p.at += len(part)
		n += len(part)
		if p.at < len(p.bytes) {
			continue
		}
		if p.sum != p.next+p.rest {
			return n, false, errBytes
		}
		p.next++
		p.at, p.sum = 0, 0
		if !p.meter.passed() {
			return n, false, nil
		}
	}
	return n, true, nil
}
