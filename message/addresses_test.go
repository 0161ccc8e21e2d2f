package message_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestAddrPorts(t *testing.T) {
	for _, text := range []string{
		"127.0.0.1:4040", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:4040", "[::]:0", "[2001:db8::1]:80",
		"[fe80::1%eth0]:80", "[::ffff:1.2.3.4]:80",
	} {
		want := netip.MustParseAddrPort(text)
		m := message.New("CMD").SetAddrPort("v", want)
		if m.Err() != nil || m.Get("v") != text {
			t.Errorf("%s: written as %v", text, m)
		}
		if got, err := m.GetAddrPort("v"); err != nil || got != want {
			t.Errorf("%s came back as %v, %v", text, got, err)
		}
	}

	for value, want := range map[string]string{
		"127.0.0.1:4040/32": "127.0.0.1:4040", "[::1]:4040/128": "[::1]:4040", "[2001:DB8:0:0::1]:80": "[2001:db8::1]:80",
		"[fe80::1%eth0]:80/128": "[fe80::1%eth0]:80", "[::ffff:1.2.3.4]:80/128": "[::ffff:1.2.3.4]:80",
	} {
		if got, err := message.New("CMD").Set("v", value).GetAddrPort("v"); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v, want %s", value, got, err, want)
		}
	}
	for _, value := range []string{
		"", "127.0.0.1", "127.0.0.1:", ":80", "80", "[::1]", "::1:80", "[::1]:", "[127.0.0.1]:80", "localhost:80", "127.0.0.1:http",
		"127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0:1", "127.0.0.01:1", "256.0.0.1:1", " 127.0.0.1:1", "127.0.0.1:1 ",
		"127.0.0.1:1/", "127.0.0.1:1/0", "127.0.0.1:1/24", "127.0.0.1:1/033", "127.0.0.1:1/032", "127.0.0.1:1/128", "127.0.0.1/32",
		"127.0.0.1:1/32/32", "127.0.0.1:1/+32", "127.0.0.1:1/255.255.255.255", "[::1]:1/32", "[::1]:1/129", "127.0.0.1:1/32 ",
		"[fe80::1%]:80", "[fe80::1% ]:80", "[fe80::1%a\nb]:80", "[fe80::1%é]:80", "1.2.3.4%eth0:80",
	} {
		_, err := message.New("CMD").Set("v", value).GetAddrPort("v")
		wantBad(t, value, err)
	}

	for _, invalid := range []netip.AddrPort{
		{}, netip.AddrPortFrom(netip.Addr{}, 80),
		netip.MustParseAddrPort("[fe80::1%a b]:80"), netip.MustParseAddrPort("[fe80::1%\xff]:80"), // no such interfaces
	} {
		m := message.New("CMD").SetAddrPort("v", invalid)
		wantBad(t, invalid.String(), m.Err())
		if m.Has("v") {
			t.Errorf("%v is stored", invalid)
		}
	}
}

func TestUnixAddrs(t *testing.T) {
	for _, path := range []string{
		"/run/service.sock", "relative.sock", "@abstract", "@", "with space;and \"quotes\\", "\xff\xfe", "/", strings.Repeat("x", 107),
	} {
		for _, network := range []string{"unix", "unixgram", "unixpacket"} {
			m := message.New("CMD").SetUnixAddr("v", &net.UnixAddr{Name: path, Net: "ignored"})
			if m.Err() != nil || m.Get("v") != path {
				t.Errorf("%q: written as %v", path, m)
			}
			got, err := m.GetUnixAddr("v", network)
			if err != nil || *got != (net.UnixAddr{Name: path, Net: network}) {
				t.Errorf("%q came back as %#v, %v", path, got, err)
			}
		}
	}
	for _, path := range []string{"", strings.Repeat("x", 108), "a\x00b", "\x00abstract"} {
		m := message.New("CMD").SetUnixAddr("v", &net.UnixAddr{Name: path, Net: "unix"})
		wantBad(t, path, m.Err())
		if m.Has("v") {
			t.Errorf("%q is stored", path)
		}
		_, err := message.New("CMD").Set("v", path).GetUnixAddr("v", "unix")
		wantBad(t, path, err)
	}
	wantBad(t, "nil", message.New("CMD").SetUnixAddr("v", nil).Err())
}

func TestZoneWithASlash(t *testing.T) {
	m := message.New("CMD").SetAddrPort("v", netip.MustParseAddrPort("[fe80::1%a/b]:80"))
	wantBad(t, "a slash begins a mask", m.Err())
}

func TestLongestUnixAddresses(t *testing.T) {
	for _, path := range []string{strings.Repeat("x", 107), "@" + strings.Repeat("x", 107)} {
		m := message.New("CMD").SetUnixAddr("v", &net.UnixAddr{Name: path})
		if a, err := m.GetUnixAddr("v", "unix"); m.Err() != nil || err != nil || a.Name != path {
			t.Errorf("%d bytes: %v, %v", len(path), m.Err(), err)
		}
		m = message.New("CMD").SetUnixAddr("v", &net.UnixAddr{Name: path + "x"})
		wantBad(t, path+"x", m.Err())
	}
}
