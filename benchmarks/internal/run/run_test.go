package run_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

func programs(t *testing.T) *run.Programs {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc")
	}
	p, err := run.NewPrograms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func build(t *testing.T, name string) string {
	t.Helper()
	program, err := programs(t).C(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// TestAccounting loads the C server with a known amount of work per request and
// expects to find about that in the CPU time of the server.
func TestAccounting(t *testing.T) {
	load, echo := build(t, "load"), build(t, "echo")
	srv, err := run.StartServer(t.Context(), 0, 1, echo, "-w", "200")
	if err != nil {
		t.Fatal(err)
	}
	r, err := run.Load{
		Program: load, CPU: 0, Port: srv.Addrs[0], PID: srv.PID(),
		Conns: 10, Size: 64, Depth: 1, Warmup: 20 * time.Millisecond, Window: 400 * time.Millisecond,
	}.Generator().Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	clock, err := run.ProcessCPU(srv.PID())
	if err != nil {
		t.Fatal(err)
	}
	threads, err := run.ThreadsCPU(srv.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Stop(); err != nil {
		t.Error(err)
	}
	// The work is measured in wall-clock time, of which the generator, here on the
	// same CPU, and other programs take a part: the bounds are wide.
	if got := r.PerRequest(); got < 50 || got > 300 {
		t.Errorf("CPU per request: %.1f µs, want about 200", got)
	}
	if d := (clock - threads).Abs(); d > clock/50 {
		t.Errorf("process clock %v, sum of the threads %v", clock, threads)
	}
	if err := srv.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

// TestLoadRejects holds the generator to its word: a server that spoils, invents
// or loses a byte yields an error, never figures.
func TestLoadRejects(t *testing.T) {
	load := build(t, "load")
	for name, spoil := range map[string]func([]byte) []byte{
		"the server closed":           func([]byte) []byte { return nil },
		"wrong bytes":                 func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"more bytes than were sent":   func(b []byte) []byte { return append(b, 0) },
		"replies are missing":         func(b []byte) []byte { return b[:0] },
		"load: signal: killed":        nil,
		"connect: Connection refused": nil,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			switch {
			case strings.HasPrefix(name, "connect"):
				ln.Close()
			case spoil == nil:
				spoil = func(b []byte) []byte { cancel(); return b }
				fallthrough
			default:
				go serve(ln, spoil)
			}
			_, port, _ := net.SplitHostPort(ln.Addr().String())
			_, err = run.Load{
				Program: load, Port: port, PID: os.Getpid(), Conns: 2, Size: 100, Depth: 1, Window: 50 * time.Millisecond,
			}.Generator().Run(ctx)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// serve echoes what spoil makes of the bytes; nil closes, and an empty slice is
// the end of reading.
func serve(ln net.Listener, spoil func([]byte) []byte) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 100, 101)
			for {
				if _, err := io.ReadFull(c, buf[:100]); err != nil {
					return
				}
				out := spoil(buf[:100])
				if out == nil {
					return
				}
				if _, err := c.Write(out); err != nil {
					return
				}
			}
		}()
	}
}

// TestNetworks loads the C servers over the other networks, and holds the generator to its word for datagrams.
func TestNetworks(t *testing.T) {
	p := programs(t)
	var built [3]string
	for i, name := range []string{"load", "echo", "udp"} {
		var err error
		if built[i], err = p.C(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	for _, argv := range [][]string{{built[1], "-u", p.Path("test")}, {built[2]}} {
		srv, err := run.StartServer(t.Context(), 0, 1, argv...)
		if err != nil {
			t.Fatal(err)
		}
		l := run.Load{Program: built[0], CPU: 1, Port: srv.Addrs[0], PID: srv.PID(), Conns: 20, Size: 64, Depth: 1, Window: 20 * time.Millisecond}
		if len(argv) == 1 {
			l.More = []string{"-D"}
		}
		if r, err := l.Generator().Run(t.Context()); err != nil || r.ServerCPU <= 0 {
			t.Errorf("%v: got %+v, %v", argv, r, err)
		}
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	}
	for name, answer := range map[string]func([]byte) []byte{
		"a datagram of another length": func(b []byte) []byte { return b[1:] },
		"wrong bytes":                  func(b []byte) []byte { b[0] ^= 1; return b },
		"replies are missing":          nil,
	} {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			buf := make([]byte, 100)
			for {
				n, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				if answer != nil {
					_, _ = c.WriteTo(answer(buf[:n]), from)
				}
			}
		}()
		_, port, _ := net.SplitHostPort(c.LocalAddr().String())
		_, err = run.Load{
			Program: built[0], CPU: 1, Port: port, Conns: 1, Size: 64, Depth: 1, Window: 20 * time.Millisecond, More: []string{"-D"},
		}.Generator().Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
}

func TestServerThatDoesNotListen(t *testing.T) {
	if _, err := run.StartServer(t.Context(), 0, 1, "/bin/true"); err == nil {
		t.Error("no error")
	}
}

func TestQuantile(t *testing.T) {
	v := []float64{5, 1, 4, 2, 3, 6}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 1: 6} {
		if got := run.Quantile(v, q); got != want {
			t.Errorf("Quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if got := run.Median(v); got != 3.5 {
		t.Errorf("Median = %v", got)
	}
	if run.Quantile(nil, 0.5) != 0 || run.Median(nil) != 0 {
		t.Error("of nothing: not 0")
	}
}
