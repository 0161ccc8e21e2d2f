package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	headerSize = 5
	maxRecord  = 16 << 10 // of text
	nonceSize  = 12

	typeHandshake   = 22
	typeApplication = 23
)

// half protects or opens the records of one direction: RFC 8446, sections 5.2 and 5.3, with
// TLS_AES_128_GCM_SHA256.
type half struct {
	aead     cipher.AEAD
	iv       [nonceSize]byte
	nonce    [nonceSize]byte // scratch
	sequence uint64
}

// newHalf derives the keys from a traffic secret: RFC 8446, section 7.3.
func newHalf(secret []byte) (*half, error) {
	expand := func(label string, length int) ([]byte, error) {
		label = "tls13 " + label
		info := binary.BigEndian.AppendUint16(nil, uint16(length))
		info = append(append(info, byte(len(label))), label...)
		return hkdf.Expand(sha256.New, secret, string(append(info, 0)), length)
	}
	h := &half{}
	key, err := expand("key", 16)
	if err != nil {
		return nil, err
	}
	iv, err := expand("iv", nonceSize)
	if err != nil {
		return nil, err
	}
	copy(h.iv[:], iv)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	h.aead, err = cipher.NewGCM(block)
	return h, err
}

// next returns the nonce of the next record.
func (h *half) next() []byte {
	h.nonce = h.iv
	tail := h.nonce[nonceSize-8:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^h.sequence)
	h.sequence++
	return h.nonce[:]
}

// seal appends a record with a text, which is not longer than maxRecord.
func (h *half) seal(out, text []byte) []byte {
	at := len(out)
	out = append(out, typeApplication, 3, 3, 0, 0)
	binary.BigEndian.PutUint16(out[at+3:], uint16(len(text)+1+h.aead.Overhead()))
	out = append(append(out, text...), typeApplication)
	body := at + headerSize
	return h.aead.Seal(out[:body], h.next(), out[body:], out[at:body])
}

// open opens the first record of in, in place. Without a whole one rest is in.
func (h *half) open(in []byte) (text, rest []byte, err error) {
	if len(in) < headerSize {
		return nil, in, nil
	}
	end := headerSize + int(binary.BigEndian.Uint16(in[3:]))
	if len(in) < end {
		return nil, in, nil
	}
	if in[0] != typeApplication {
		return nil, in, fmt.Errorf("a record of type %d", in[0])
	}
	text, err = h.aead.Open(in[headerSize:headerSize], h.next(), in[headerSize:end], in[:headerSize])
	if err != nil {
		return nil, in, err
	}
	text = bytes.TrimRight(text, "\x00")
	if len(text) == 0 {
		return nil, in, errors.New("a record without a type")
	}
	kind := text[len(text)-1]
	text = text[:len(text)-1]
	switch kind {
	case typeApplication:
	case typeHandshake: // a ticket
		text = text[:0]
	default:
		return nil, in, fmt.Errorf("a record with the inner type %d", kind)
	}
	return text, in[end:], nil
}

// secrets is a KeyLogWriter of one connection.
type secrets struct{ bytes.Buffer }

// halves returns what protects what is sent and what opens what comes, after the handshake.
func (s *secrets) halves(state tls.ConnectionState) (out, in *half, err error) {
	if state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		return nil, nil, fmt.Errorf("cipher suite %s: want AES with 128 bits", tls.CipherSuiteName(state.CipherSuite))
	}
	for line := range strings.Lines(s.String()) {
		f := strings.Fields(line) // label, random of the client, secret
		if len(f) != 3 {
			continue
		}
		secret, err := hex.DecodeString(f[2])
		if err != nil {
			return nil, nil, err
		}
		switch f[0] {
		case "CLIENT_TRAFFIC_SECRET_0":
			out, err = newHalf(secret)
		case "SERVER_TRAFFIC_SECRET_0":
			in, err = newHalf(secret)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if out == nil || in == nil {
		return nil, nil, errors.New("the key log lacks a secret")
	}
	return out, in, nil
}
