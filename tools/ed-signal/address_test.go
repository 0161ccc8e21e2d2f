package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1:1":         "127.0.0.1:1",
		"127.0.0.1":           "127.0.0.1:4041",
		"localhost":           "localhost:4041",
		"db-1.example.com:80": "db-1.example.com:80",
		"localhost:domain":    "localhost:domain",
		"[::1]:1":             "[::1]:1",
		"[::1]":               "[::1]:4041",
		"::1":                 "[::1]:4041",
		"fe80::1%lo":          "[fe80::1%lo]:4041",
		"[fe80::1%lo]:1":      "[fe80::1%lo]:1",
		"255.255.255.255":     "255.255.255.255:4041",
		"":                    "!",
		":1":                  "!",
		"127.0.0.1:":          "!",
		"127.0.0.1:0":         "!",
		"127.0.0.1:65536":     "!",
		"127.0.0.1:-1":        "!",
		"1:2:3":               "!",
		"[::1":                "!",
		"::1]":                "!",
		"[::1]1":              "!",
		"/run/x":              "!",
		"a@b":                 "!",
		"@":                   "!",
	} {
		for _, network := range []string{typeUDP, typeTCP} {
			got, err := newTarget(network, host)
			if err != nil {
				got.address = "!"
			}
			if got.address != want {
				t.Errorf("%s: got %s, %v, want %s", host, got.address, err, want)
			}
		}
	}
}

func TestUnixAddresses(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"demo.conf":     "path=/run/demo\n[a_b]\npath=@demo\nlong=/" + strings.Repeat("x", maxPath) + "\nnone=\n",
		"is@demo.conf":  "",
		"a@b@demo.conf": "path=/run/ab",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := "/" + strings.Repeat("x", maxPath-1)
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
		"./missing@path":                   "!no such file",
		"demo.conf@other":                  `!demo.conf: no variable "other"`,
		"demo.conf@a-b::long":              "!--host: demo.conf@a-b::long: the PATH",
		"demo.conf@a-b::none":              "!--host: demo.conf@a-b::none: the PATH",
		dir + "@x":                         "!directory",
	} {
		got, err := newTarget(typeUnix, host)
		if text, wrong := strings.CutPrefix(want, "!"); wrong {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: got %s, %v, want %s", host, got.address, err, text)
			}
		} else if err != nil || got.address != want {
			t.Errorf("%s: got %s, %v, want %s", host, got.address, err, want)
		}
	}
}

// TestServerNames: certificates are checked against the host without a zone, which they can't have.
func TestServerNames(t *testing.T) {
	for host, want := range map[string]string{
		"localhost:1": "localhost", "127.0.0.1": "127.0.0.1", "[::1]:1": "::1", "fe80::1%lo": "fe80::1", "[fe80::1%lo]:1": "fe80::1",
	} {
		s := signaller{options: options{encrypt: true}}
		var err error
		if s.target, err = newTarget(typeTCP, host); err != nil {
			t.Fatal(err)
		}
		config, err := s.tlsConfig()
		if err != nil || config.ServerName != want || config.InsecureSkipVerify {
			t.Errorf("%s: %v, %+v", host, err, config)
		}
	}
}
