//go:build linux

package sys_test

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

func TestAddrPort(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip("no loopback interface:", err)
	}
	scoped := "[fe80::1%" + strconv.Itoa(lo.Index) + "]:80"
	for text, want := range map[string]string{
		"127.0.0.1:4040":          "127.0.0.1:4040",
		"[::1]:65535":             "[::1]:65535",
		"[::ffff:10.0.0.1]:1":     "10.0.0.1:1",
		"[fe80::1%lo]:80":         scoped,
		scoped:                    scoped,
		"[fe80::1%nowhere]:80":    "[fe80::1]:80",
		"[2001:db8::a:b:c:d]:256": "[2001:db8::a:b:c:d]:256",
	} {
		var sa sys.Sockaddr
		err := sa.SetAddrPort(netip.MustParseAddrPort(text))
		if got := sa.AddrPort().String(); got != want || sa.IsUnix() || sa.Path() != "" {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
		var addrError *net.AddrError
		if known := !strings.Contains(text, "nowhere"); known != (err == nil) || !known && (!errors.As(err, &addrError) || addrError.Addr != "nowhere") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPath(t *testing.T) {
	for _, path := range []string{"a", "./a", "/run/demo.sock", "@abstract", "@", "./@file", "./@" + strings.Repeat("x", 106), strings.Repeat("x", 107), "@" + strings.Repeat("y", 106)} {
		var sa sys.Sockaddr
		if err := sa.SetPath(path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
		if got := sa.Path(); got != path || !sa.IsUnix() || sa.AddrPort().IsValid() {
			t.Errorf("%q became %q", path, got)
		}
	}
	for _, path := range []string{"", strings.Repeat("x", 108), "a\x00b"} {
		var sa sys.Sockaddr
		if err := sa.SetPath(path); !errors.Is(err, sys.ErrPath) {
			t.Errorf("%q: %v", path, err)
		}
	}
}
