//go:build linux

package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

const patience = 20 * time.Second

// TestEcho builds the program and talks to it as its users do.
func TestEcho(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) { testEcho(t, program, sig) })
	}
	t.Run("Refuses", func(t *testing.T) {
		out, err := exec.Command(program, "--tcp", "203.0.113.7:1").CombinedOutput() // of the block for documentation
		if err == nil || !strings.HasPrefix(string(out), "echo: listen tcp 203.0.113.7:1: ") {
			t.Errorf("%v, printed %q", err, out)
		}
	})
}

func testEcho(t *testing.T, program string, end os.Signal) {
	path := filepath.Join(t.TempDir(), "s")
	cmd := exec.Command(program, "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", path, "--tcp", "127.0.0.1:0")
	var log strings.Builder
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }() // does nothing if it has ended
	var addrs [][2]string
	for lines := bufio.NewScanner(stdout); len(addrs) < 4 && lines.Scan(); {
		var addr [2]string
		if _, err := fmt.Sscanf(lines.Text(), "listening %s %s", &addr[0], &addr[1]); err != nil {
			t.Fatalf("it printed %q", lines.Text())
		}
		addrs = append(addrs, addr)
	}
	if len(addrs) != 4 {
		t.Fatalf("it listens at %v\n%s", addrs, &log)
	}
	for _, addr := range addrs {
		conn, err := net.Dial(addr[0], addr[1])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		if addr[0] == "udp" {
			buf := make([]byte, 100)
			if _, err := conn.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if n, err := conn.Read(buf); string(buf[:n]) != "hello" || err != nil {
				t.Errorf("%v: the echo is %q, %v", addr, buf[:n], err)
			}
			continue
		}
		text := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
		go func() {
			_, _ = conn.Write(text)
			_ = conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		if got, err := io.ReadAll(conn); !bytes.Equal(got, text) || err != nil {
			t.Errorf("%v: the echo has %d bytes, %v", addr, len(got), err)
		}
	}
	_ = cmd.Process.Signal(end)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("it ended with %v\n%s", err, &log)
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		err := <-done
		t.Errorf("it doesn't end: %v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket's file is still there")
	}
}
