package main_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/secure"
)

func build(t *testing.T, dirs ...string) (programs []string) {
	t.Helper()
	p, err := run.NewPrograms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	for _, dir := range dirs {
		program, err := p.Go(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, program)
	}
	return programs
}

func load(program, port string, size, depth int, more ...string) run.Generator {
	g := run.Load{Program: program, CPU: 1, Port: port, Conns: 3, Size: size, Depth: depth, Window: 20 * time.Millisecond, More: more}.Generator()
	g.Limit = 10 * time.Second
	return g
}

// TestServers has every server answer requests, in one record, in many and in parts of them, that the generator
// checks.
func TestServers(t *testing.T) {
	programs := build(t, "tls/load", "peers/nettls", "tls/server")
	for _, program := range programs[1:] {
		srv, err := run.StartServer(t.Context(), 0, 1, program)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range []run.Generator{
			load(programs[0], srv.Addrs[0], 64, 1),
			load(programs[0], srv.Addrs[0], 64, 16),
			load(programs[0], srv.Addrs[0], 64, 16, "-r"),
			load(programs[0], srv.Addrs[0], 50_000, 3),
		} {
			if r, err := g.Run(t.Context()); err != nil || r.Seconds() < 0.02 {
				t.Errorf("%v: got %+v, %v", g.Args, r, err)
			}
		}
		idle, err := run.OpenIdle(t.Context(), programs[0], srv.Addrs[0], 1, 5)
		if err == nil {
			err = idle.Close()
		}
		if err != nil {
			t.Error(err)
		}
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestLoadRejects holds the generator to its word: bytes that are wrong or too many yield an error, never figures.
func TestLoadRejects(t *testing.T) {
	program := build(t, "tls/load")[0]
	config, err := secure.Server()
	if err != nil {
		t.Fatal(err)
	}
	weak := config.Clone()
	weak.MinVersion, weak.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for name, answer := range map[string]func(net.Conn, []byte){
		"wrong bytes":               func(c net.Conn, b []byte) { b[len(b)-1] ^= 1; _, _ = c.Write(b) },
		"more bytes than were sent": func(c net.Conn, b []byte) { _, _ = c.Write(append(b, 0)) },
		"the server closed":         func(c net.Conn, b []byte) { _ = c.(*tls.Conn).NetConn().Close() },
		"a record of type":          func(c net.Conn, b []byte) { _, _ = c.(*tls.Conn).NetConn().Write([]byte{21, 3, 3, 0, 2, 1, 0}) },
		"message authentication": func(c net.Conn, b []byte) {
			_, _ = c.(*tls.Conn).NetConn().Write(append([]byte{23, 3, 3, 0, 32}, b[:32]...))
		},
		"inner type 21":              func(c net.Conn, b []byte) { _ = c.(*tls.Conn).CloseWrite() },
		"protocol version not suppo": nil,
	} {
		t.Run(name, func(t *testing.T) {
			c := config
			if answer == nil {
				c = weak
			}
			ln, err := tls.Listen("tcp", "127.0.0.1:0", c)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go serve(ln, answer)
			_, port, _ := net.SplitHostPort(ln.Addr().String())
			if _, err := load(program, port, 64, 1).Run(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// serve answers each request.
func serve(ln net.Listener, answer func(net.Conn, []byte)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for {
				buf := make([]byte, 64)
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				answer(c, buf[:n])
			}
		}()
	}
}
