//go:build linux

package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

// TestReadme runs the README's line for units as systemd does: $MAINPID as a word of its own is none when the
// variable isn't set, as after the end of the process.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^\s*ExecStop=(ed-stop .*\$MAINPID.*)$`).FindSubmatch(text)
	if line == nil {
		t.Fatal("the README shows no ExecStop=ed-stop")
	}
	bin := tooltest.Build(t, "tools/ed-stop")
	stop := func(mainPID ...string) {
		t.Helper()
		var words []string
		for _, word := range strings.Fields(string(line[1])) {
			if word == "$MAINPID" {
				words = append(words, mainPID...)
			} else {
				words = append(words, word)
			}
		}
		cmd := exec.Command(filepath.Join(bin, words[0]), words[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%q: %v, %s", words, err, out)
		}
	}
	service := exec.Command("sleep", "600")
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Process.Kill() }()
	stop(strconv.Itoa(service.Process.Pid))
	_ = service.Wait()
	if status := service.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGINT {
		t.Errorf("the service has ended: %v", service.ProcessState)
	}
	stop()
}
