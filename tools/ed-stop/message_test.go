//go:build linux

package main

import (
	"strings"
	"testing"

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
	for _, text := range []string{"", ":", ":1", "udp:", "tcp", "tcp:", "unix:", "unixgram:", "a:0", "a:65536", "a:-1", "[]", "[]:1", ":[", "[[::1]]", "a:",
		"/run/demo.sock", "./x.sock", "udp:/run/demo.sock", "@abs", "x y:1:2", "x y:1", "tcp:[::1", "--dry-run", "-n",
		"unix:/" + strings.Repeat("x", 200), "unixgram:@",
	} {
		if got, err := parseTarget(text); err == nil {
			t.Errorf("%q: got %s", text, got)
		}
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
