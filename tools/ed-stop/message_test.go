//go:build linux

package main

import (
	"net"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string][2]string{
		"127.0.0.1":             {"udp", "127.0.0.1:4041"},
		"127.0.0.1:1":           {"udp", "127.0.0.1:1"},
		"udp:127.0.0.1:1":       {"udp", "127.0.0.1:1"},
		"tcp:db1":               {"tcp", "db1:4041"},
		"tcp:db1:4040":          {"tcp", "db1:4040"},
		"db1:":                  {"udp", "db1:4041"},
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
		if network, address, err := parseTarget(text); network != want[0] || address != want[1] || err != nil {
			t.Errorf("%q: got %s %s, %v, want %s", text, network, address, err, want)
		}
	}
	for _, text := range []string{"", ":", ":1", "udp:", "tcp", "tcp:", "unix:", "unixgram:", "a:0", "a:65536", "a:-1", "a:b", "[]", "[]:1", ":[", "[[::1]]"} {
		if network, address, err := parseTarget(text); err == nil {
			t.Errorf("%q: got %s %s", text, network, address)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, text := range []string{"127.0.0.1:1", "tcp:[::1]", "unix:/x", "a:b:c", "::"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		network, address, err := parseTarget(text)
		if err != nil {
			return
		}
		if network == "unix" || network == "unixgram" {
			return
		}
		if host, port, err := net.SplitHostPort(address); host == "" || port == "" || err != nil {
			t.Errorf("%q: %s %s: %v", text, network, address, err)
		}
	})
}
