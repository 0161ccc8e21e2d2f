package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

func programs(t *testing.T) *run.Programs {
	t.Helper()
	p, err := run.NewPrograms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func build(t *testing.T, p *run.Programs, dir string) string {
	t.Helper()
	program, err := p.Go(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func start(t *testing.T, program string) *run.Server {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // its end, before the clean-up, would kill the server
	srv, err := run.StartServer(ctx, 0, 1, program, "--path", filepath.Join(t.TempDir(), "s.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

func generator(load, path, protocol string, more ...string) run.Generator {
	args := []string{"--path", path, "--protocol", protocol, "--conns", "3", "--warmup", "5ms", "--window", "30ms"}
	return run.Generator{Program: load, CPU: 1, Limit: 5 * time.Second, Args: append(args, more...)}
}

// TestServers has every server answer calls that the generator checks.
func TestServers(t *testing.T) {
	p := programs(t)
	load := build(t, p, "call/load")
	for _, c := range []struct{ dir, protocol string }{
		{"peers/textline", "text"}, {"call/server", "text"}, {"peers/gob", "gob"}, {"peers/grpc", "grpc"},
	} {
		t.Run(c.dir, func(t *testing.T) {
			srv := start(t, build(t, p, c.dir))
			g := generator(load, srv.Addrs[0], c.protocol, "--pid", fmt.Sprint(srv.PID()))
			if c.protocol == "text" {
				g.Args = append(g.Args, "--idle", "20")
			}
			r, err := g.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Total <= r.Requests || r.ServerCPU <= 0 || r.Seconds() < 0.03 {
				t.Errorf("got %+v", r)
			}
			if err := srv.Stop(); err != nil {
				t.Error(err)
			}
			if out := srv.Output(); len(out) != 1 || !strings.HasPrefix(out[0], "allocated ") {
				t.Errorf("at its end the server printed %q", out)
			}
		})
	}
}

const (
	request = "<web1:frontend db1:store/FETCH_USER city=Berlin;id=%d;lang=de;limit=10;session=a81f5c\n"
	reply   = "web1:frontend/USER city=Berlin;email=ada@example.org;id=%d;name=Ada Lovelace;session=a81f5c\n"
)

// TestPieces sends lines byte by byte, and then more of them than the kernel holds
// before it reads a reply: every one is answered, in order.
func TestPieces(t *testing.T) {
	p := programs(t)
	for _, dir := range []string{"peers/textline", "call/server"} {
		t.Run(dir, func(t *testing.T) {
			c, err := net.Dial("unix", start(t, build(t, p, dir)).Addrs[0])
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			replies := bufio.NewReader(c)
			expect := func(id int) {
				t.Helper()
				got, err := replies.ReadString('\n')
				if want := fmt.Sprintf(reply, id); err != nil || got != want {
					t.Fatalf("got %q, %v, want %q", got, err, want)
				}
			}
			for _, b := range fmt.Appendf(nil, request, 1) {
				if _, err := c.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			expect(1)
			const many = 20000
			var all bytes.Buffer
			for id := range many {
				fmt.Fprintf(&all, request, id)
			}
			_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			n, err := c.Write(all.Bytes())
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("wrote %d bytes, %v: the server should wait for a reader", n, err)
			}
			_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
			written := make(chan error, 1)
			go func() {
				_, err := c.Write(all.Bytes()[n:])
				written <- err
			}()
			for id := range many {
				expect(id)
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLoadRejects holds the generator to its word: a reply that is wrong, missing
// or too much yields an error, never figures.
func TestLoadRejects(t *testing.T) {
	load := build(t, programs(t), "call/load")
	for name, answer := range map[string]func(id string) string{
		"wrong reply":       func(string) string { return fmt.Sprintf(reply, 7) },
		"the server closed": func(string) string { return "" },
		"want":              func(id string) string { return "web1:frontend/USER id=" + id + "\n" },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.sock")
			ln, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go serve(ln, answer)
			if _, err := generator(load, path, "text").Run(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// serve answers each line; an empty answer closes.
func serve(ln net.Listener, answer func(id string) string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				_, rest, _ := strings.Cut(lines.Text(), ";id=")
				id, _, _ := strings.Cut(rest, ";")
				text := answer(id)
				if text == "" {
					return
				}
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
			}
		}()
	}
}
