//go:build linux

package connection_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

var ignore = message.HandlerFunc(func(message.Sender, *message.Message) error { return nil })

// TestWireOfDatagrams sends what programs of the C++ library have sent, and compares the bytes.
func TestWireOfDatagrams(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "wire_datagrams.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for line := range bytes.Lines(data) {
		var c struct {
			Kind, Name, Output, Error string
			Input                     []string
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		cases++
		var secret string
		if i := slices.Index(c.Input, "-s"); i >= 0 {
			secret = c.Input[i+1]
		}
		text := c.Input[len(c.Input)-1]
		if c.Name == "dgram 65537 bytes" { // recorded in short
			text = "PING v=" + strings.Repeat("x", 65537-len("PING v="))
		}
		m, err := message.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		before := m.Clone()
		loop, _ := looptest.New(t)
		layer := connection.NewMessageDatagrams(ignore, connection.MessageDatagramConfig{Secret: secret})
		fd, peer := pair(t, unix.SOCK_DGRAM)
		var to connection.Peer
		if c.Kind == "send_udp" {
			_ = unix.Close(peer)
			_ = unix.Close(fd)
			fd, peer = udpSocket(t), udpSocket(t)
			sa, err := unix.Getsockname(peer)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Connect(fd, sa); err != nil {
				t.Fatal(err)
			}
		}
		d := newDatagram(t, loop, fd, layer, connection.DatagramConfig{})
		err = layer.SenderTo(d, to).Send(m)
		buf := make([]byte, 70_000)
		n, _, recvErr := unix.Recvfrom(peer, buf, unix.MSG_DONTWAIT)
		_ = unix.Close(peer)
		if c.Error != "" {
			if !errors.Is(err, connection.ErrSize) || !strings.Contains(err.Error(), fmt.Sprint(len(text))) || recvErr == nil || layer.Oversize() != 1 {
				t.Errorf("%s: %v, %d oversize; want %v", c.Name, err, layer.Oversize(), connection.ErrSize)
			}
			continue
		}
		if err != nil || recvErr != nil || string(buf[:n]) != c.Output {
			t.Errorf("%s: sent %q, %v, %v; want %q", c.Name, buf[:n], err, recvErr, c.Output)
		}
		if !m.Equal(before) {
			t.Errorf("%s: the caller's message became %v", c.Name, m)
		}
	}
	if cases != 8 {
		t.Errorf("%d cases", cases)
	}
}

// TestSecret: who is heard, with a secret and without.
func TestSecret(t *testing.T) {
	const secret = "open sesame"
	for _, tt := range []struct {
		secret   string
		heard    []string
		rejected uint64
		warning  string
	}{
		{secret, []string{"RIGHT"}, 5, "no secret, or a wrong one"},
		{"", []string{"NONE", "EMPTY", "SHORT", "LONG", "OTHER", "RIGHT"}, 0, "none was asked for"},
	} {
		loop, log := looptest.New(t)
		var heard []string
		var d *connection.Datagram
		layer := connection.NewMessageDatagrams(message.HandlerFunc(func(from message.Sender, m *message.Message) error {
			heard = append(heard, m.Command())
			if m.Command() != "RIGHT" {
				return nil
			}
			if m.Get(message.ParameterSecretCode) != secret {
				t.Errorf("the handler got %v", m)
			}
			defer d.Close()
			return from.Send(m.Reply("PONG").Set("a", "1"))
		}), connection.MessageDatagramConfig{Secret: tt.secret})
		d = newDatagram(t, loop, udpSocket(t), layer, connection.DatagramConfig{})
		conn := client(t, d)
		for _, text := range []string{
			"NONE a=1", "EMPTY secret_code=", "SHORT secret_code=open", "LONG secret_code=open sesame!", "OTHER secret_code=open sesamE",
			"RIGHT secret_code=open sesame",
		} {
			send(t, conn, text)
		}
		run(t, loop)
		if !slices.Equal(heard, tt.heard) || layer.Rejected() != tt.rejected || layer.Skipped() != 0 {
			t.Errorf("heard %q, %d rejected", heard, layer.Rejected())
		}
		want := "PONG a=1"
		if tt.secret != "" {
			want += ";secret_code=" + secret
		}
		if got := receive(t, conn); got != want {
			t.Errorf("answered %q, want %q", got, want)
		}
		if n := len(log.Containing(tt.warning)); n != 1 {
			t.Errorf("warned %d times: %q", n, log.Records())
		}
		if found := log.Containing("sesam"); len(found) > 0 {
			t.Errorf("the secret was logged: %q", found)
		}
	}
}

// TestOversizeReply: a reply that is too long is counted, and logged with the sizes.
func TestOversizeReply(t *testing.T) {
	loop, log := looptest.New(t)
	var d *connection.Datagram
	layer := connection.NewMessageDatagrams(message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		defer d.Close()
		return from.Send(m.Reply("M").Set("a", strings.Repeat("x", 1200-len("M a="))))
	}), connection.MessageDatagramConfig{})
	d = newDatagram(t, loop, udpSocket(t), layer, connection.DatagramConfig{})
	send(t, client(t, d), "PING")
	run(t, loop)
	found := log.Containing("a message failed")
	if layer.Oversize() != 1 || len(found) != 1 || !strings.Contains(found[0], "1200 bytes, the limit is 1024") {
		t.Errorf("%d oversize, logged %q", layer.Oversize(), found)
	}
}
