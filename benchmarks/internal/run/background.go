package run

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// Background is a generator that works until it is stopped.
type Background struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
	stderr bytes.Buffer
	cancel context.CancelFunc
}

// Start starts a generator that works until its standard input ends, and waits for its first line, which begins
// with ready.
func (g Generator) Start(ctx context.Context, ready string) (*Background, error) {
	b := &Background{cancel: func() {}}
	if g.Limit > 0 {
		ctx, b.cancel = context.WithTimeout(ctx, g.Limit)
	}
	b.cmd = exec.CommandContext(ctx, g.Program, g.Args...)
	b.cmd.Stderr = &b.stderr
	stdin, err := b.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	b.stdin = stdin
	stdout, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	b.stdout = bufio.NewReader(stdout)
	if err := startPinned(b.cmd, g.cpus()...); err != nil {
		return nil, err
	}
	line, err := b.stdout.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, ready) {
		_ = b.Close()
		return nil, fmt.Errorf("load: not %s: %s", ready, b.stderr.String())
	}
	return b, nil
}

// OpenIdle opens n connections that exchange one request each and are silent then, with a generator that takes
// the flags of c/load.c. Close ends them.
func OpenIdle(ctx context.Context, program, port string, cpu, n int) (*Background, error) {
	return Generator{Program: program, CPU: cpu, Args: []string{"-p", port, "-I", strconv.Itoa(n)}}.Start(ctx, "idle")
}

// PID returns the process ID.
func (b *Background) PID() int { return b.cmd.Process.Pid }

// Stop ends the generator and returns what it reports, if anything. A second call does nothing.
func (b *Background) Stop() (r Result, err error) {
	if b.cmd.ProcessState != nil {
		return r, nil
	}
	defer b.cancel()
	_ = b.stdin.Close()
	rest, _ := io.ReadAll(b.stdout) // Wait closes the pipe, so all has to be read before
	if err := b.cmd.Wait(); err != nil {
		return r, fmt.Errorf("load: %w %s", err, b.stderr.String())
	}
	if len(rest) > 0 {
		err = json.Unmarshal(rest, &r)
	}
	return r, err
}

// Close is Stop for who needs no report.
func (b *Background) Close() error {
	_, err := b.Stop()
	return err
}
