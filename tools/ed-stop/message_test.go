//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string][2]string{
		"127.0.0.1":             {"udp", "127.0.0.1:4041"},
		"127.0.0.1:1":           {"udp", "127.0.0.1:1"},
		"udp:127.0.0.1:1":       {"udp", "127.0.0.1:1"},
		"tcp:db1":               {"tcp", "db1:4041"},
		"tcp:db1:4040":          {"tcp", "db1:4040"},
		"::1":                   {"udp", "[::1]:4041"},
		"[::1]":                 {"udp", "[::1]:4041"},
		"tcp:[::1]:1":           {"tcp", "[::1]:1"},
		"unix:/run/demo.sock":   {"unix", "/run/demo.sock"},
		"unix:a:b":              {"unix", "a:b"},
		"unixgram:@demo":        {"unixgram", "@demo"},
		"shm:/run/demo.ring":    {"shm", "/run/demo.ring"},
		"shm:@demo":             {"shm", "@demo"},
		"unixgram:/run/d sock":  {"unixgram", "/run/d sock"},
		"UNIX":                  {"udp", "UNIX:4041"},
		"fe80::1%lo:1":          {"udp", "[fe80::1%lo:1]:4041"},
		"udp:localhost":         {"udp", "localhost:4041"},
		"tcp:unix:4041":         {"tcp", "unix:4041"},
		"udp:[fe80::1%lo]:4042": {"udp", "[fe80::1%lo]:4042"},
	} {
		if got, err := parseTarget(text); got.Network != want[0] || got.Address != want[1] || err != nil {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":", ":1", "udp:", "tcp", "tcp:", "unix:", "unixgram:", "shm", "shm:", "a:0", "a:65536", "a:-1", "[]", "[]:1", ":[", "[[::1]]", "a:",
		"/run/demo.sock", "./x.sock", "udp:/run/demo.sock", "@abs", "x y:1:2", "x y:1", "tcp:[::1", "--dry-run", "-n",
		"unix:/" + strings.Repeat("x", 200), "unixgram:@", "shm:@",
	} {
		if got, err := parseTarget(text); err == nil {
			t.Errorf("%q: got %s", text, got)
		}
	}
}

// TestSendHangsUp: a service that has hung up is hung up on, for it may wait for that to end.
func TestSendHangsUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	target, err := receiver.Parse(receiver.TCP, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r := &request{Target: target, text: []byte("STOP\n")}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- r.send(ctx) }()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if string(text) != "STOP\n" || err != nil || ctx.Err() != nil {
		t.Errorf("read %q, %v, %v", text, err, ctx.Err())
	}
	cancel()
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// FuzzParseTarget: what comes after the network is receiver's matter; no text must get to another network.
func FuzzParseTarget(f *testing.F) {
	for _, text := range []string{"127.0.0.1:1", "tcp:[::1]", "unix:/x", "a:b:c", "::"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		target, err := parseTarget(text)
		if err != nil {
			return
		}
		if target.Unix() && text != target.Network+":"+target.Address {
			t.Errorf("%q: %s", text, target)
		}
		if target.Network == receiver.TCP && !strings.HasPrefix(text, "tcp:") {
			t.Errorf("%q: %s", text, target)
		}
	})
}
