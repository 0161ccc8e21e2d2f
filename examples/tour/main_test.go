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

	counts := map[string]string{
		"PING, PONG over TCP":                                     "500",
		"PING, PONG over a Unix socket":                           "500",
		"PING, PONG over UDP":                                     "500",
		"PING, PONG over TLS":                                     "500",
		"PING, PONG over Unix datagrams":                          "500",
		"PING, PONG over Unix packets":                            "500",
		"PING, PONG over FIFOs":                                   "500",
		"PING, PONG over pipes":                                   "500",
		"PING, PONG over a socket pair":                           "500",
		"PING, PONG over shared memory":                           "500",
		"record through shared memory and back":                   "500",
		"64 KiB echoed over a Unix socket":                        "200",
		"one-shot timer, lateness":                                "100",
		"periodic timer, 5 ms, lateness":                          "200",
		"urgent timer, 1 ms, lateness":                            "200",
		"signal SIGUSR1":                                          "50",
		"Do from another goroutine":                               "500",
		"timer at a date, lateness":                               "10",
		"light timer of a set, lateness":                          "10000",
		"event under a rate of 10 in 20 ms, since the one before": "40",
		"child, from start to end":                                "20",
		"end of any process, by its number":                       "1",
		"line through a command":                                  "50",
		"command's end":                                           "1",
		"file that was written, in a new folder":                  "50",
		"value to a goroutine and back":                           "500",
		"goroutine's end":                                         "1",
		"work of a pool, there and back":                          "200",
		"any descriptor":                                          "50",
		"function right after a callback":                         "10",
		"function after a turn":                                   "10",
		"READY=1 to the service manager":                          "1",
		"WATCHDOG=1 to the service manager":                       "5",
		"listing of the loop":                                     "1",
		"message STOP ends the service":                           "1",
	}
	for name, count := range counts {
		row := regexp.MustCompile(`(?m)^ *` + regexp.QuoteMeta(name) + ` +` + count + ` +(\d+ µs|-) +(\d+ µs|-) *$`)
		if n := len(row.FindAllString(stdout.String(), -1)); n != 1 {
			t.Errorf("%d rows of %q with %s events, want 1", n, name, count)
		}
	}
	text := stdout.String()
	rows, want := strings.Count(strings.Split(text, "note:")[0], "µs\n")+strings.Count(strings.Split(text, "note:")[0], " -\n"), len(counts)
	for _, optional := range []string{"process made, told by the kernel", "memory pressure is watched"} {
		want += strings.Count(text, optional) // not everywhere, and not to everybody
	}
	if rows != want {
		t.Errorf("%d rows below the heading, want %d", rows, want)
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
