//go:build linux

package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// build builds the program, with the race detector if the test has it.
func build(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "program")
	args := []string{"build", "-o", program}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// process is the program at work.
type process struct {
	*exec.Cmd
	tb     testing.TB
	folder string
	conn   net.Conn
	lines  *bufio.Scanner // of conn
	pids   map[int]bool   // of all the commands that were seen

	printed *strings.Builder
}

// sleeper is a command that does nothing until it is told to end.
const sleeper = "sleep 1000"

// begin runs the program with a configuration, and waits until it answers.
func begin(tb testing.TB, program, config string, args ...string) *process {
	tb.Helper()
	p := &process{tb: tb, folder: tb.TempDir(), pids: map[int]bool{}, printed: &strings.Builder{}}
	p.configure(config)
	p.Cmd = exec.Command(program, append([]string{
		"--config", p.path("conf"), "--socket", p.path("s"), "--log", p.path("log"), "--pauses", "0.001,0.002",
	}, args...)...)
	p.Cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	p.Cmd.Stdout, p.Cmd.Stderr = p.printed, p.printed
	if err := p.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if p.ProcessState == nil { // the test has failed
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		for pid := range p.pids {
			if tb.Failed() && !gone(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	p.await("it listens", func() bool {
		conn, err := net.Dial("unix", p.path("s"))
		p.conn = conn
		return err == nil
	})
	tb.Cleanup(func() { _ = p.conn.Close() })
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	p.lines = bufio.NewScanner(p.conn)
	return p
}

func (p *process) path(name string) string { return filepath.Join(p.folder, name) }

// configure writes the configuration in place.
func (p *process) configure(text string) { p.write("conf", text) }

func (p *process) write(name, text string) {
	p.tb.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		p.tb.Fatal(err)
	}
}

// script writes a script and returns the command that runs it.
func (p *process) script(name, text string) string {
	p.tb.Helper()
	p.write(name, text)
	return "sh " + p.path(name)
}

func (p *process) read(name string) string {
	p.tb.Helper()
	text, err := os.ReadFile(p.path(name))
	if err != nil {
		p.tb.Fatal(err)
	}
	return string(text)
}

// await waits until something is so.
func (p *process) await(what string, is func() bool) {
	p.tb.Helper()
	for end := time.Now().Add(patience); !is(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(end) {
			text, _ := os.ReadFile(p.path("log"))
			p.tb.Fatalf("waited in vain until %s; the log:\n%s", what, text)
		}
	}
}

func (p *process) awaitLog(name, text string) {
	p.tb.Helper()
	p.await(name+" has "+text, func() bool {
		log, err := os.ReadFile(p.path(name))
		return err == nil && strings.Contains(string(log), text)
	})
}

// ask sends a message and returns the reply.
func (p *process) ask(text string) *message.Message {
	p.tb.Helper()
	if _, err := fmt.Fprintln(p.conn, text); err != nil {
		p.tb.Fatal(err)
	}
	if !p.lines.Scan() {
		p.tb.Fatalf("%q: %v", text, p.lines.Err())
	}
	m, err := message.Parse(p.lines.Text())
	if err != nil {
		p.tb.Fatalf("%q was answered with %q: %v", text, p.lines.Text(), err)
	}
	return m
}

// state is what STATUS tells of a command.
type state struct {
	what     string
	pid      int
	since    time.Time
	restarts int
}

var stateLine = regexp.MustCompile(`^(\w+): (\w+)(?:, pid (\d+))?, (?:since|until) (\S+), (\d+) restarts$`)

func (p *process) status() map[string]state {
	p.tb.Helper()
	states := map[string]state{}
	m := p.ask("STATUS")
	if m.Command() != "STATUS_REPORT" {
		p.tb.Fatalf("STATUS was answered with %v", m)
	}
	for line := range strings.Lines(m.Get("text")) {
		part := stateLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if part == nil {
			p.tb.Fatalf("STATUS has the line %q", line)
		}
		s := state{what: part[2]}
		s.pid, _ = strconv.Atoi(part[3]) // none: it waits
		s.restarts, _ = strconv.Atoi(part[5])
		var err error
		if s.since, err = time.Parse(time.RFC3339, part[4]); err != nil {
			p.tb.Error(err)
		}
		if s.pid > 0 {
			p.pids[s.pid] = true
		}
		states[part[1]] = s
	}
	return states
}

// awaitStatus waits until exactly these run, and returns their states.
func (p *process) awaitStatus(names ...string) (states map[string]state) {
	p.tb.Helper()
	p.await("there are "+strings.Join(names, ", "), func() bool {
		states = p.status()
		for _, name := range names {
			if states[name].what != "running" {
				return false
			}
		}
		return len(states) == len(names)
	})
	return states
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// awaitDeath waits for the end of a process that is no child of the program, so that init, or who stands for it, has to
// take its status.
func (p *process) awaitDeath(pid int) {
	p.tb.Helper()
	p.await(fmt.Sprintf("process %d has ended", pid), func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// end tells the program to end; then nothing may be left of it.
func (p *process) end(sig syscall.Signal) {
	p.tb.Helper()
	_ = p.conn.Close() // or it would be waited for
	if err := p.Process.Signal(sig); err != nil {
		p.tb.Fatal(err)
	}
	p.ended()
}

func (p *process) ended() {
	p.tb.Helper()
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			p.tb.Errorf("it ended with %v; the log:\n%s", err, p.read("log"))
		}
	case <-time.After(patience):
		_ = p.Process.Kill()
		err := <-done
		p.tb.Fatalf("it doesn't end: %v; the log:\n%s", err, p.read("log"))
	}
	for pid := range p.pids {
		if !gone(pid) {
			p.tb.Errorf("process %d is left", pid)
		}
	}
	if _, err := os.Lstat(p.path("s")); err == nil {
		p.tb.Error("the socket's file is still there")
	}
	if p.printed.Len() > 0 { // such as a report of the race detector
		p.tb.Errorf("it printed %s", p.printed)
	}
}

// awaitStatusOf waits until STATUS has a command, whatever it does.
func (p *process) awaitStatusOf(name string) {
	p.tb.Helper()
	p.await(name+" is known", func() bool {
		_, found := p.status()[name]
		return found
	})
}
