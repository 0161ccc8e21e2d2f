//go:build linux

package main_test

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// build builds the client and the service into a folder.
func build(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"client", "service"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "../"+name).CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	return dir
}

// TestClient restarts the service while the client talks to it.
func TestClient(t *testing.T) {
	dir := build(t)
	path := filepath.Join(dir, "socket")
	client := begin(t, filepath.Join(dir, "client"), "--unix", path, "--every", "5ms")
	client.expect("no connection")
	for range 3 {
		service := begin(t, filepath.Join(dir, "service"), "--unix", path)
		service.expect("listening")
		client.expect("up")
		client.expect("PONG number=")
		service.end()
		client.expect("down")
	}
	client.end()
}

// TestCount ends by itself.
func TestCount(t *testing.T) {
	dir := build(t)
	service := begin(t, filepath.Join(dir, "service"), "--tcp", "127.0.0.1:0")
	address := strings.TrimPrefix(service.expect("listening tcp "), "listening tcp ")
	client := begin(t, filepath.Join(dir, "client"), "--tcp", address, "--every", "1ms", "--count", "3")
	client.expect("PONG number=3")
	client.wait()
	service.end()
}

// program is one at work.
type program struct {
	*exec.Cmd
	tb    testing.TB
	lines chan string // that it prints
}

func begin(tb testing.TB, path string, args ...string) *program {
	tb.Helper()
	p := &program{Cmd: exec.Command(path, args...), tb: tb, lines: make(chan string, 10_000)}
	stdout, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	read := make(chan bool)
	go func() {
		defer close(read)
		defer close(p.lines)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.lines <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, stdout)
	}()
	tb.Cleanup(func() {
		_ = p.Process.Kill() // does nothing if it has ended
		<-read
		_ = p.Wait()
	})
	return p
}

// expect waits until it prints a line that begins so.
func (p *program) expect(prefix string) string {
	p.tb.Helper()
	var seen []string
	late := time.After(looptest.Patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.tb.Fatalf("it ended without printing %q, but\n%s", prefix, strings.Join(seen, "\n"))
			}
			if strings.HasPrefix(line, prefix) {
				return line
			}
			seen = append(seen, line)
		case <-late:
			p.tb.Fatalf("it didn't print %q, but\n%s", prefix, strings.Join(seen, "\n"))
		}
	}
}

// end tells it to end.
func (p *program) end() {
	p.tb.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		p.tb.Fatal(err)
	}
	p.wait()
}

// wait waits for its end, which has to be a good one.
func (p *program) wait() {
	p.tb.Helper()
	for range p.lines {
	}
	if err := p.Wait(); err != nil {
		p.tb.Fatal(err)
	}
}
