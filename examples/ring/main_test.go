//go:build linux

package main_test

import (
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

// TestRing builds the program and runs it, as its users do: it ends well, and prints what it promises.
func TestRing(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	const flood = `(?m)^\d+ messages of \d+ bytes each way, at the same time\n\n +messages/s +MB/s +wake-ups per 1000\n` +
		` +there +\d+ +\d+\.\d +\d+\.\d\d\n +back +\d+ +\d+\.\d +\d+\.\d\d\n\n` +
		` +p50 +p99 +wake-ups per 1000\n +round trip +\d+\.\d µs +\d+\.\d µs +\d+\.\d\d\n$`
	const deaths = `^\d+ deaths, after each the connection was closed once: shmconn: the peer has died\n` +
		`[1-9]\d* messages of \d+ bytes had come, all whole and in order\n$`
	for _, tt := range []struct{ args, want string }{
		{"--count 20000", flood},
		{"--count 1", flood},
		{"--count 20000 --batch 32", flood},
		{"--count 2000 --spin 20us", flood},
		{"--count 3000 --size 12", flood},
		{"--count 2000 --size 100001", flood},
		{"--count 10 --size 3000000", flood}, // with memory of their own
		{"--kill --rounds 10", deaths},
		{"--kill --rounds 10 --batch 7 --size 5000", deaths},
		{"--kill --rounds 10 --size 300000", deaths},
	} {
		t.Run(tt.args, func(t *testing.T) {
			out, errs, err := run(t, program, tt.args)
			if err != nil || errs != "" || !regexp.MustCompile(tt.want).MatchString(out) {
				t.Errorf("%v\n%s%s", err, out, errs)
			}
		})
	}
	for args, want := range map[string]string{
		"--size 11":       "ring: --size: not from 12 to 16777216\n",
		"--size 16777217": "ring: --size: not from 12 to 16777216\n",
		"--batch 0":       "ring: --batch, --count and --rounds: not from 1 on\n",
		"--count 0":       "ring: --batch, --count and --rounds: not from 1 on\n",
		"--kill 100":      "ring: \"100\" is no option\n",
		"--peer @nobody":  "ring: the second process: dial shm @nobody: connect: connection refused\n",
	} {
		if out, errs, err := run(t, program, args); err == nil || out != "" || errs != want {
			t.Errorf("%s: %v, printed %q, %q", args, err, out, errs)
		}
	}
}

func run(t *testing.T, program, args string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, program, strings.Fields(args)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	err = cmd.Run()
	return out.String(), errs.String(), err
}
