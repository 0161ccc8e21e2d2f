//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	// systemctlTime is how long systemctl may take.
	systemctlTime = 10 * time.Second
	// systemctlOutput is how many bytes of what it prints are kept.
	systemctlOutput = 4 << 10
	// systemctlLinger is how long what systemctl has started may keep its output open after its end.
	systemctlLinger = 500 * time.Millisecond
)

// systemctlError says why systemctl did not answer.
type systemctlError struct {
	unit    string
	why     string
	missing bool // there is no systemctl
}

func (e *systemctlError) Error() string {
	return fmt.Sprintf("could not read PID of service named %q: systemctl: %s", e.unit, e.why)
}

// mainPID asks systemd for the main process of a unit, 0 for none. No shell sees the name, and systemctl takes it for
// nothing but a name. The error is a *systemctlError when there was no answer, else it is about the answer.
func mainPID(unit string, limit time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var stdout, stderr beginning
	cmd := exec.CommandContext(ctx, "systemctl", "show", "--property", "MainPID", "--value", "--", unit)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = systemctlLinger
	err := cmd.Run()
	answer := strings.TrimSpace(string(stdout))
	switch {
	case ctx.Err() != nil:
		return 0, &systemctlError{unit: unit, why: fmt.Sprintf("no answer within %v", limit)}
	case errors.Is(err, exec.ErrNotFound):
		return 0, &systemctlError{unit: unit, why: "not found", missing: true}
	case errors.Is(err, exec.ErrWaitDelay):
		return 0, &systemctlError{unit: unit, why: "what it has started keeps its output open"}
	case err != nil:
		line, _, _ := strings.Cut(strings.TrimSpace(string(stderr)), "\n")
		return 0, &systemctlError{unit: unit, why: shorten(cmp.Or(line, err.Error()))}
	case answer == "":
		return 0, recordedError(fmt.Sprintf("error: could not read PID of service named \"%s\".", unit))
	}
	pid, err := strconv.ParseUint(answer, 10, 31)
	if err != nil {
		return 0, recordedError(fmt.Sprintf("error: the PID of \"%s\" returned by systemctl, \"%s\", is not a valid number.",
			unit, shorten(answer)))
	}
	return int(pid), nil
}

// beginning keeps the first bytes of what is written to it.
type beginning []byte

func (b *beginning) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), systemctlOutput-len(*b))]...)
	return len(p), nil
}
