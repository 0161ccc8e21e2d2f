//go:build linux

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestBlockedForMoments: a signal that is ignored, and blocked only when it is sent, has no time either.
func TestBlockedForMoments(t *testing.T) {
	v := newVictim(t, "TERM")
	s := newStopper(t)
	s.steps = []step{{sigint, time.Hour}, {sigterm, time.Hour}}
	s.proc = procfs(t.TempDir())
	file := s.proc.file(v.pid(), "status")
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("SigBlk:\tfffffffffffbfeff\nSigIgn:\t0000000000000002\n")
	p, err := s.hold("demo", v.pid())
	if err != nil {
		t.Fatal(err)
	}
	p.next()
	put("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000002\n")
	if err := s.loop.Run(t.Context()); err != nil || p.err != nil {
		t.Error(err, p.err)
	}
	if !v.ended() {
		t.Error("it has not ended")
	}
}

// TestBlocked: a signal that is ignored, and stays blocked, has its time, because the process may read it.
func TestBlocked(t *testing.T) {
	cmd := exec.Command("env", "--block-signal=TERM", "--ignore-signal=TERM", "sh", "-c", "echo ready; exec sleep 600")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Skip("env of this machine can't block signals: ", err)
	}
	status, _, stderr := runHere("--signal", "TERM:0.2,HUP:1h", "--log-level", "info", strconv.Itoa(cmd.Process.Pid))
	if status != 0 || strings.Contains(stderr, "ignores") || !strings.Contains(stderr, "signal=SIGHUP") {
		t.Errorf("status %d, %s", status, stderr)
	}
}
