package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

func TestAddresses(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1":  "127.0.0.1:4041",
		"[::1]:1":    "[::1]:1",
		"":           "!no address",
		"127.0.0.1:": "!not a port",
		"/run/x":     `!"/run/x" is not ADDR[:PORT]; a PATH or @NAME needs --type unix, unixgram or shm`,
		"@x":         `!"@x" is not ADDR[:PORT]; a PATH or @NAME needs --type unix, unixgram or shm`,
		"a@b":        `!"a@b" is neither ADDR[:PORT] nor FILE@NAME of a file that exists`,
	} {
		for _, network := range []string{receiver.UDP, receiver.TCP} {
			checkTarget(t, options{network: network, host: host}, want)
		}
	}
}

// checkTarget wants an address, or with ! in front an error.
func checkTarget(t *testing.T, o options, want string) receiver.Target {
	t.Helper()
	got, err := o.findTarget(t.Context())
	if text, wrong := strings.CutPrefix(want, "!"); wrong {
		if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "--host: ") {
			t.Errorf("%s: got %s, %v, want %s", o.host, got.Address, err, text)
		}
	} else if err != nil || got.Address != want {
		t.Errorf("%s: got %s, %v, want %s", o.host, got.Address, err, want)
	}
	return got
}

func TestUnixAddresses(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"demo.conf": "path=/run/demo\n[a_b]\npath=@demo\nlong=/" + strings.Repeat("x", receiver.MaxPath) + "\nnone=\nquoted = \"/run/x\" # y\n" +
			"[a]\nname=1\nname=2\nb::name=3\n[c]\nname=4\n[e]\nname=5\nother::names=6\n",
		"is@demo.conf":  "",
		"a@b@demo.conf": "path=/run/ab",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := "/" + strings.Repeat("x", receiver.MaxPath-1)
	for host, want := range map[string]string{
		"/run/x":                           "/run/x",
		"x":                                "x",
		"@x":                               "@x",
		"@/run/x@y":                        "@/run/x@y",
		"@demo.conf@path":                  "@demo.conf@path",
		"demo.conf@path":                   "/run/demo",
		dir + "/demo.conf@a-b::path":       "@demo",
		"is@demo.conf":                     "is@demo.conf",
		filepath.Join(dir, "is@demo.conf"): filepath.Join(dir, "is@demo.conf"),
		"a@b@demo.conf@path":               "/run/ab",
		"missing@path":                     "missing@path",
		long:                               long,
		long + "x":                         "!at most 107 bytes, this one 108",
		"":                                 "!missing",
		"@":                                "!missing",
		"/run/x\x00":                       "!NUL",
		"./missing@path":                   "!no such file",
		"demo.conf@other":                  `!demo.conf: no variable "other"`,
		"demo.conf@name":                   `!demo.conf: no variable "name"; there is a::name, a::b::name, c::name`,
		"demo.conf@d::name":                `!demo.conf: no variable "d::name"; there is a::name, a::b::name, c::name`,
		"demo.conf@a-b::quoted":            "!--host: demo.conf:6: text behind the closing quote; a comment needs a line of its own",
		"demo.conf@a-b::long":              "!--host: demo.conf@a-b::long: the PATH",
		"demo.conf@a-b::none":              "!--host: demo.conf@a-b::none: the PATH",
		dir + "@x":                         "!directory",
	} {
		checkTarget(t, options{network: receiver.Unix, host: host}, want)
	}
}

// TestServerNames: certificates are checked against the host without a zone, which they can't have.
func TestServerNames(t *testing.T) {
	for host, want := range map[string]string{
		"localhost:1": "localhost", "127.0.0.1": "127.0.0.1", "[::1]:1": "::1", "fe80::1%lo": "fe80::1", "[fe80::1%lo]:1": "fe80::1",
	} {
		s := signaller{options: options{network: receiver.TCP, host: host, encrypt: true}}
		var err error
		if s.target, err = s.findTarget(t.Context()); err != nil {
			t.Fatal(err)
		}
		config, err := s.tlsConfig(t.Context())
		if err != nil || config.ServerName != want || config.InsecureSkipVerify {
			t.Errorf("%s: %v, %+v", host, err, config)
		}
	}
}
