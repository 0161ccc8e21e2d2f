package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

func TestParse(t *testing.T) {
	for text, want := range map[string][2]string{
		"127.0.0.1":           {"127.0.0.1:4041", "127.0.0.1"},
		"127.0.0.1:1":         {"127.0.0.1:1", "127.0.0.1"},
		"255.255.255.255":     {"255.255.255.255:4041", "255.255.255.255"},
		"localhost":           {"localhost:4041", "localhost"},
		"db-1.example.com:80": {"db-1.example.com:80", "db-1.example.com"},
		"my_host.:65535":      {"my_host.:65535", "my_host."},
		"bücher.example":      {"bücher.example:4041", "bücher.example"},
		"localhost:domain":    {"localhost:domain", "localhost"},
		"localhost:x11-ssh":   {"localhost:x11-ssh", "localhost"},
		"[::1]:1":             {"[::1]:1", "::1"},
		"[::1]":               {"[::1]:4041", "::1"},
		"::1":                 {"[::1]:4041", "::1"},
		"fe80::1%lo":          {"[fe80::1%lo]:4041", "fe80::1%lo"},
		"[fe80::1%lo]:1":      {"[fe80::1%lo]:1", "fe80::1%lo"},
		"unix:4041":           {"unix:4041", "unix"},
	} {
		for _, network := range []string{receiver.UDP, receiver.TCP} {
			got, err := receiver.Parse(network, text)
			if want := (receiver.Target{Network: network, Address: want[0], Host: want[1]}); err != nil || got != want {
				t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
			}
			if again, err := receiver.Parse(network, got.Address); err != nil || again != got {
				t.Errorf("%s again: %+v, %v", got.Address, again, err)
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "no address",
		":":                "no address",
		":1":               "no address",
		"127.0.0.1:":       `"" is not a port`,
		"127.0.0.1:0":      `"0" is not a port`,
		"127.0.0.1:00":     `"00" is not a port`,
		"127.0.0.1:65536":  `"65536" is not a port`,
		"127.0.0.1:-1":     `"-1" is not a port`,
		"127.0.0.1:+1":     `"+1" is not a port`,
		"127.0.0.1:1 ":     `"1 " is not a port`,
		`localhost:1" # x`: `is not a port`,
		"localhost:dömäin": `is not a port`,
		"1:2:3":            "not ADDR[:PORT]",
		"x y:1:2":          "not ADDR[:PORT]",
		"x y:1":            `"x y" is neither an address nor a name`,
		" ":                "neither an address nor a name",
		"x\n":              "neither an address nor a name",
		"\"x\"":            "neither an address nor a name",
		"-x":               "neither an address nor a name",
		"\xff":             "neither an address nor a name",
		"a@b":              "neither an address nor a name",
		"[::1":             "not ADDR[:PORT]",
		"::1]":             "not ADDR[:PORT]",
		"[::1]1":           "not ADDR[:PORT]",
		"[]":               "neither an address nor a name",
		"[]:1":             "no address",
		"[[::1]]":          "not ADDR[:PORT]",
		"/run/x":           "a path or @NAME is for unix, unixgram and shm",
		"./x.sock":         "a path or @NAME is for unix, unixgram and shm",
		"x/y:1":            "a path or @NAME is for unix, unixgram and shm",
		"@abs":             "a path or @NAME is for unix, unixgram and shm",
		"@":                "a path or @NAME is for unix, unixgram and shm",
	} {
		for _, network := range []string{receiver.UDP, receiver.TCP} {
			got, err := receiver.Parse(network, text)
			if err == nil || !strings.Contains(err.Error(), want) || got != (receiver.Target{}) {
				t.Errorf("%q: got %+v, %v, want %s", text, got, err, want)
			}
			if isPath := strings.HasPrefix(want, "a path"); isPath != errors.Is(err, receiver.ErrPath) {
				t.Errorf("%q: %v is of a path: %v", text, err, !isPath)
			}
		}
	}
	for _, network := range []string{"", "sctp", "UDP", "udp4"} {
		if got, err := receiver.Parse(network, "127.0.0.1:1"); err == nil {
			t.Errorf("%q: got %+v", network, got)
		}
	}
}

func TestParsePaths(t *testing.T) {
	long := "/" + strings.Repeat("x", receiver.MaxPath-1)
	for _, network := range []string{receiver.Unix, receiver.Unixgram, receiver.Shm} {
		for _, text := range []string{"/run/x", "x", "a:b", "a b", "127.0.0.1:1", "@x", "@/run/x@y", "\xff", long} {
			got, err := receiver.Parse(network, text)
			if want := (receiver.Target{Network: network, Address: text}); err != nil || got != want {
				t.Errorf("%s: got %+v, %v", text, got, err)
			}
		}
		for text, want := range map[string]string{
			"": "missing", "@": "missing", long + "x": "at most 107 bytes, this one 108", "a\x00b": "NUL",
		} {
			if got, err := receiver.Parse(network, text); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %+v, %v", text, got, err)
			}
		}
	}
}

func TestTarget(t *testing.T) {
	for network, want := range map[string]struct {
		unix, datagrams bool
		limit           int
	}{
		receiver.UDP:      {false, true, receiver.MaxUDP},
		receiver.TCP:      {false, false, 0},
		receiver.Unix:     {true, false, 0},
		receiver.Unixgram: {true, true, receiver.MaxUnixgram},
		receiver.Shm:      {true, false, 0},
	} {
		target := receiver.Target{Network: network, Address: "x"}
		if target.Unix() != want.unix || target.Datagrams() != want.datagrams || target.String() != network+" x" {
			t.Errorf("%s: %+v", network, target)
		}
		if err := target.CheckLength(want.limit); err != nil {
			t.Errorf("%s: %v", network, err)
		}
		text := fmt.Sprintf("the message has %d bytes, a datagram over %s at most %d", want.limit+1, network, want.limit)
		if err := target.CheckLength(want.limit + 1); want.datagrams && (err == nil || err.Error() != text) || !want.datagrams && err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
	if len(receiver.Networks()) != 5 {
		t.Errorf("%q", receiver.Networks())
	}
	if receiver.MaxUDP != connection.DefaultMaxMessage || receiver.MaxUnixgram != connection.DefaultMaxUnixMessage {
		t.Errorf("services have %d and %d bytes", connection.DefaultMaxMessage, connection.DefaultMaxUnixMessage)
	}
}

// FuzzParse: what is taken can be given to package net, and is taken again as it comes out.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"127.0.0.1:1", "[::1]", "::1", "fe80::1%lo:1", "/x", "@x", "a:b:c", "localhost:http", "::", "\xff", "::%[", "::%]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, network := range receiver.Networks() {
			target, err := receiver.Parse(network, text)
			if err != nil {
				if target != (receiver.Target{}) {
					t.Errorf("%q: %+v and %v", text, target, err)
				}
				continue
			}
			if again, err := receiver.Parse(network, target.Address); err != nil || again != target {
				t.Errorf("%q: %+v, again %+v, %v", text, target, again, err)
			}
			if target.Unix() {
				continue
			}
			if host, port, err := net.SplitHostPort(target.Address); err != nil || host != target.Host || port == "" {
				t.Errorf("%q: %+v: %v", text, target, err)
			}
			if _, err := netip.ParseAddr(target.Host); err != nil && strings.ContainsAny(target.Host, " \n\x00\x1b/@:[]\"%") {
				t.Errorf("%q: %+v", text, target)
			}
		}
	})
}

// TestPrefersIPv4: a datagram to a name goes to its IPv4 address.
func TestPrefersIPv4(t *testing.T) {
	v4, v6 := listen(t, "127.0.0.1:0"), listen(t, "[::1]:0")
	_, port4, _ := net.SplitHostPort(v4.LocalAddr().String())
	_, port6, _ := net.SplitHostPort(v6.LocalAddr().String())
	for _, tt := range []struct {
		address string
		to      net.PacketConn
	}{
		{"both.example.:" + port4, v4},
		{"only6.example.:" + port6, v6},
		{"127.0.0.1:" + port4, v4},
		{"[::1]:" + port6, v6},
	} {
		target, err := receiver.Parse(receiver.UDP, tt.address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := target.Dial(t.Context(), net.Dialer{Resolver: fakeResolver()})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := conn.RemoteAddr().String(), tt.to.LocalAddr().String(); got != want {
			t.Errorf("%s is %s, want %s", tt.address, got, want)
		}
		_ = conn.Close()
	}
}

func TestDialErrors(t *testing.T) {
	target := receiver.Target{Network: receiver.UDP, Address: "none.example.:1", Host: "none.example."}
	_, err := target.Dial(t.Context(), net.Dialer{Resolver: fakeResolver()})
	operation, missing := (*net.OpError)(nil), (*net.DNSError)(nil)
	if !errors.As(err, &operation) || !errors.As(err, &missing) || !missing.IsNotFound || !strings.Contains(err.Error(), "none.example.") {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, network := range receiver.Networks() {
		target := receiver.Target{Network: network, Address: "none.example.:1", Host: "none.example."}
		if conn, err := target.Dial(ended, net.Dialer{Resolver: fakeResolver()}); err == nil {
			t.Errorf("%s: connected to %v", network, conn.RemoteAddr())
		}
	}
}

func TestDial(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	dir := t.TempDir()
	unix, err := net.Listen("unix", dir+"/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close() }()
	gram, err := net.ListenPacket("unixgram", dir+"/gram")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gram.Close() }()
	for _, addr := range []net.Addr{tcp.Addr(), unix.Addr(), gram.LocalAddr(), listen(t, "127.0.0.1:0").LocalAddr()} {
		target, err := receiver.Parse(addr.Network(), addr.String())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := target.Dial(t.Context(), net.Dialer{})
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if got := conn.RemoteAddr(); got.Network() != addr.Network() || got.String() != addr.String() {
			t.Errorf("%s: connected to %s", target, got)
		}
		_ = conn.Close()
	}
}

func listen(t *testing.T, address string) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		if strings.Contains(address, "::1") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// fakeResolver knows both.example and only6.example, which are this machine, and nothing else.
func fakeResolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, server := net.Pipe()
		go serveDNS(server)
		return ours, nil
	}}
}

// serveDNS answers questions as over TCP, with a length in front: RFC 1035, 4.
func serveDNS(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	buffer := make([]byte, 1500)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		message := buffer[2:n]
		end := 12 + bytes.IndexByte(message[12:], 0) + 5
		name, kind := message[12:end], message[end-3]
		var answer []byte
		code := byte(0)
		switch loopback4 := []byte{127, 0, 0, 1}; {
		case bytes.Contains(name, []byte("none")):
			code = 3 // NXDOMAIN
		case kind == 28: // AAAA
			answer = append([]byte{0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 9, 0, 16}, net.IPv6loopback...)
		case kind == 1 && bytes.Contains(name, []byte("both")):
			answer = append([]byte{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4}, loopback4...)
		}
		reply := []byte{message[0], message[1], 0x81, 0x80 | code, 0, 1, 0, byte(min(len(answer), 1)), 0, 0, 0, 0}
		reply = append(append(reply, name...), answer...)
		if _, err := conn.Write(append([]byte{0, byte(len(reply))}, reply...)); err != nil {
			return
		}
	}
}

func Example() {
	target, err := receiver.Parse(receiver.TCP, "db1")
	fmt.Println(target, err)
	_, err = receiver.Parse(receiver.UDP, "/run/demo.socket")
	fmt.Println(err)
	// Output:
	// tcp db1:4041 <nil>
	// "/run/demo.socket" is not ADDR[:PORT]: a path or @NAME is for unix, unixgram and shm
}
