//go:build linux

package main_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

const patience = 20 * time.Second

// TestTour builds the program and runs it, as its users do: it ends well, has seen all that it
// promises, as often as it says, and leaves no file.
func TestTour(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	temp := filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("it ended with %v\n%s%s", err, &stdout, &stderr)
	}

	for name, count := range map[string]string{
		"PING, PONG over TCP":              "500",
		"PING, PONG over a Unix socket":    "500",
		"PING, PONG over UDP":              "500",
		"PING, PONG over TLS":              "500",
		"PING, PONG over Unix datagrams":   "500",
		"PING, PONG over Unix packets":     "500",
		"PING, PONG over FIFOs":            "500",
		"PING, PONG over pipes":            "500",
		"PING, PONG over a socket pair":    "500",
		"64 KiB echoed over a Unix socket": "200",
		"one-shot timer, lateness":         "100",
		"periodic timer, 5 ms, lateness":   "200",
		"urgent timer, 1 ms, lateness":     "200",
		"signal SIGUSR1":                   "50",
		"Do from another goroutine":        "500",
		"message STOP ends the service":    "1",
	} {
		row := regexp.MustCompile(`(?m)^ *` + regexp.QuoteMeta(name) + ` +` + count + ` +(\d+ µs|-) +(\d+ µs|-) *$`)
		if n := len(row.FindAllString(stdout.String(), -1)); n != 1 {
			t.Errorf("%d rows of %q with %s events, want 1", n, name, count)
		}
	}
	text := stdout.String()
	if rows := strings.Count(strings.Split(text, "\n\n")[0], "\n"); rows != 16 {
		t.Errorf("%d rows below the heading, want 16", rows)
	}
	if log := stderr.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "told to stop") {
		t.Errorf("it logged %q, want that it was told to stop", log)
	}
	if !strings.Contains(text, "\none goroutine, ") {
		t.Error("it ended without its summary")
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	if t.Failed() {
		t.Logf("it printed\n%s", text)
	}
}
