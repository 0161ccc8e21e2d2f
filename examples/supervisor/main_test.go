//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

const patience = 20 * time.Second

// TestSupervisor builds the program and uses it as its users do.
func TestSupervisor(t *testing.T) {
	program := build(t)
	for name, test := range map[string]func(t *testing.T, program string){
		"Status": testStatus, "Killed": testKilled, "Changed": testChanged, "Replaced": testReplaced, "Broken": testBroken,
		"Log": testLog, "Lines": testLines, "Ends": testEnds, "Stubborn": testStubborn, "Rest": testRest,
		"Failing": testFailing, "Refuses": testRefuses,
	} {
		t.Run(name, func(t *testing.T) { test(t, program) })
	}
}

func testStatus(t *testing.T, program string) {
	before := time.Now().Truncate(time.Second)
	p := begin(t, program, "# two\na = "+sleeper+"\n\n  b2=sleep   1001\n")
	states := p.awaitStatus("a", "b2")
	for name, s := range states {
		if s.since.Before(before) || s.since.After(time.Now()) || s.restarts != 0 || gone(s.pid) {
			t.Errorf("%s: %+v", name, s)
		}
		arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.pid))
		if want := map[string]string{"a": "sleep\x001000\x00", "b2": "sleep\x001001\x00"}[name]; string(arguments) != want || err != nil {
			t.Errorf("%s runs %q, %v, want %q", name, arguments, err, want)
		}
	}
	if m := p.ask("HELP"); m.Command() != "COMMANDS" || !strings.Contains(m.Get("list"), "STATUS") || !strings.Contains(m.Get("list"), "STOP") {
		t.Errorf("HELP was answered with %v", m)
	}
	if m := p.ask("DANCE"); m.Command() != "UNKNOWN" {
		t.Errorf("DANCE was answered with %v", m)
	}
	p.end(syscall.SIGTERM)
}

// testKilled kills commands with SIGKILL: each is started again.
func testKilled(t *testing.T, program string) {
	p := begin(t, program, "a = "+sleeper+"\nb = "+sleeper+"\nc = "+sleeper+"\n")
	other := p.awaitStatus("a", "b", "c")["c"]
	for round := range 3 {
		for _, name := range []string{"a", "b"} {
			if err := syscall.Kill(p.awaitStatus("a", "b", "c")[name].pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		p.await("both have been started again", func() bool {
			states := p.status()
			return states["a"].restarts == round+1 && states["b"].restarts == round+1
		})
	}
	states := p.awaitStatus("a", "b", "c")
	if states["c"] != other {
		t.Errorf("c was %+v, and is %+v", other, states["c"])
	}
	if len(p.pids) < 3 || states["a"].pid == states["b"].pid {
		t.Errorf("processes %v", p.pids)
	}
	if n := strings.Count(p.read("log"), "killed by signal 9"); n != 6 {
		t.Errorf("%d deaths are in the log, want 6:\n%s", n, p.read("log"))
	}
	p.end(syscall.SIGTERM)
}

// testChanged adds, removes and changes commands.
func testChanged(t *testing.T, program string) {
	p := begin(t, program, "same = "+sleeper+"\ngoes = "+sleeper+"\nchanges = "+sleeper+"\n")
	before := p.awaitStatus("same", "goes", "changes")
	p.configure("comes = sleep 1002\nchanges = sleep 1001\nsame = " + sleeper + "\n")
	after := p.awaitStatus("same", "comes", "changes")
	p.await("it has changed", func() bool {
		after = p.awaitStatus("same", "comes", "changes")
		return after["changes"].pid != before["changes"].pid
	})
	if after["same"] != before["same"] {
		t.Errorf("the one that stays was %+v, and is %+v", before["same"], after["same"])
	}
	if after["changes"].restarts != 0 {
		t.Errorf("the one that changes: %+v", after["changes"])
	}
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", after["changes"].pid))
	if string(arguments) != "sleep\x001001\x00" || err != nil {
		t.Errorf("it runs %q, %v", arguments, err)
	}
	for _, name := range []string{"goes", "changes"} {
		if pid := before[name].pid; !gone(pid) {
			t.Errorf("the process %d of %s is left", pid, name)
		}
	}
	p.configure("")
	p.awaitStatus()
	p.end(syscall.SIGTERM)
}

// testReplaced changes the configuration as editors do: another file takes its place.
func testReplaced(t *testing.T, program string) {
	p := begin(t, program, "a = "+sleeper+"\n")
	p.awaitStatus("a")
	for _, name := range []string{"b", "c"} {
		p.write("new", name+" = "+sleeper+"\n")
		if err := os.Rename(p.path("new"), p.path("conf")); err != nil {
			t.Fatal(err)
		}
		p.awaitStatus(name)
	}
	p.end(syscall.SIGTERM)
}

// testBroken: of a file with a mistake nothing is taken, and the next one is good again.
func testBroken(t *testing.T, program string) {
	p := begin(t, program, "a = "+sleeper+"\n")
	before := p.awaitStatus("a")
	for _, c := range []struct{ config, complaint string }{
		{"b = " + sleeper + "\nnonsense\n", "conf:2: not of the form"},
		{"b = " + sleeper + "\n\na =\n", "conf:3: not of the form"},
		{"= " + sleeper, `conf:1: \"\" is no name`},
		{"a b = " + sleeper, `conf:1: \"a b\" is no name`},
		{"b = " + sleeper + "\nb = sleep 1", `conf:2: there is another \"b\"`},
		{strings.Repeat("#\n", 10) + "a = " + sleeper + "\n?", "conf:12: not of the form"},
	} {
		p.configure(c.config)
		p.awaitLog("log", c.complaint)
		if after := p.awaitStatus("a"); after["a"] != before["a"] {
			t.Errorf("after %q it is %+v, before it was %+v", c.config, after["a"], before["a"])
		}
	}
	p.configure("b = " + sleeper + "\n")
	p.awaitStatus("b")
	p.end(syscall.SIGTERM)
}

// testLog renames the log as logrotate does.
func testLog(t *testing.T, program string) {
	p := begin(t, program, "")
	config := func(name string) {
		p.configure(name + " = " + p.script("talk", "echo I am $1; exec "+sleeper) + " " + name + "\n")
	}
	for i, reopen := range []func(){
		func() { _ = p.Process.Signal(syscall.SIGHUP) },
		func() { _, _ = fmt.Fprintln(p.conn, "LOG_ROTATE") },
	} {
		config(fmt.Sprint("old", i))
		p.awaitLog("log", fmt.Sprint("I am old", i))
		if err := os.Rename(p.path("log"), p.path("log.1")); err != nil {
			t.Fatal(err)
		}
		p.awaitStatusOf(fmt.Sprint("old", i)) // it goes on writing to the renamed file
		reopen()
		p.await("the log is there again", func() bool {
			_, err := os.Lstat(p.path("log"))
			return err == nil
		})
		config(fmt.Sprint("new", i))
		p.awaitLog("log", fmt.Sprint("I am new", i))
		if strings.Contains(p.read("log.1"), fmt.Sprint("I am new", i)) {
			t.Errorf("the old log has new lines:\n%s", p.read("log.1"))
		}
	}
	p.end(syscall.SIGTERM)
}

// testLines: what commands write is in the log, with their names, and long lines are cut.
func testLines(t *testing.T, program string) {
	p := begin(t, program, "")
	long := strings.Repeat("x", 16<<10)
	p.write("text", "one\ntwo\n"+long+"yz\n"+long+"\nlast, without an end")
	p.configure("talker = " + p.script("talk", "cat "+p.path("text")+"; echo; echo failure >&2; exec "+sleeper) + "\n")
	p.awaitLog("log", "failure")
	var got []string
	for line := range strings.Lines(p.read("log")) {
		if strings.Contains(line, "command=talker") && !strings.Contains(line, "it was started") {
			got = append(got, regexp.MustCompile(`msg="?(.*?)"? command=talker`).FindStringSubmatch(line)[1])
		}
	}
	want := []string{"one", "two", long, "yz", long, "last, without an end", "failure"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d lines, %.200q, want %d", len(got), got, len(want))
	}
	p.awaitStatus("talker")
	p.end(syscall.SIGTERM)
}

// testEnds ends it in each way that there is.
func testEnds(t *testing.T, program string) {
	for _, how := range []string{"STOP", "SIGINT", "SIGTERM"} {
		t.Run(how, func(t *testing.T) {
			p := begin(t, program, "a = "+sleeper+"\n")
			p.configure("a = " + sleeper + "\nb = " + p.script("b", "trap 'exit 3' TERM; echo here I am; exec 2>&-; while :; do sleep 0.01; done") + "\n")
			p.awaitLog("log", "here I am")
			p.awaitStatus("a", "b")
			switch how {
			case "STOP":
				if _, err := fmt.Fprintln(p.conn, how); err != nil {
					t.Fatal(err)
				}
				_ = p.conn.Close()
				p.ended()
			case "SIGINT":
				p.end(syscall.SIGINT)
			case "SIGTERM":
				p.end(syscall.SIGTERM)
			}
			for _, want := range []string{"killed by signal 15", "exited with status 3", "the supervisor has ended"} {
				if !strings.Contains(p.read("log"), want) {
					t.Errorf("%q is not in the log:\n%s", want, p.read("log"))
				}
			}
		})
	}
}

// testStubborn: what ignores SIGTERM is killed, when it is removed and at the end.
func testStubborn(t *testing.T, program string) {
	p := begin(t, program, "", "--kill-delay", "50ms")
	stubborn := p.script("stubborn", "trap '' TERM; echo ready $1; while :; do sleep 0.01; done")
	p.configure("a = " + stubborn + " a\n")
	p.awaitLog("log", "ready a")
	p.awaitStatus("a")
	p.configure("b = " + stubborn + " b\n")
	p.awaitLog("log", "ready b")
	p.awaitStatus("b")
	p.end(syscall.SIGTERM)
	if n := strings.Count(p.read("log"), "killed by signal 9"); n != 2 {
		t.Errorf("%d were killed, want 2:\n%s", n, p.read("log"))
	}
}

// testRest: what a command has started and left behind ends with it, also when it ignores SIGTERM.
func testRest(t *testing.T, program string) {
	p := begin(t, program, "")
	leader := p.script("leader", `sh -c 'trap "" TERM; echo "$0 has left $$."; exec sleep 1000' $1 & trap 'exit 0' TERM; wait`)
	var pids []int
	for _, name := range []string{"removed", "ended"} {
		p.configure(name + " = " + leader + " " + name + "\n")
		p.awaitLog("log", name+" has left ")
		p.awaitStatus(name) // so that the one before has ended
		found := regexp.MustCompile(name + ` has left (\d+)\.`).FindStringSubmatch(p.read("log"))
		pid, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
		t.Cleanup(func() {
			if t.Failed() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
	p.awaitDeath(pids[0])
	if gone(pids[1]) {
		t.Error("what the other one has started is gone, too")
	}
	p.end(syscall.SIGTERM)
	p.awaitDeath(pids[1])
}

// testFailing: what can't be started is tried again, and runs when it can.
func testFailing(t *testing.T, program string) {
	p := begin(t, program, "")
	p.configure("a = " + p.path("program") + "\nb = " + sleeper + "\n")
	p.await("it has been tried again", func() bool { return p.status()["a"].restarts >= 3 })
	if s := p.status(); s["b"].what != "running" || s["b"].restarts != 0 {
		t.Errorf("the other one: %+v", s["b"])
	}
	p.write("new", "#!/bin/sh\nexec "+sleeper+"\n")
	if err := errors.Join(os.Chmod(p.path("new"), 0o700), os.Rename(p.path("new"), p.path("program"))); err != nil {
		t.Fatal(err)
	}
	p.awaitStatus("a", "b")
	p.end(syscall.SIGTERM)
}

// testRefuses: what can't be done is said on standard error, with status 1.
func testRefuses(t *testing.T, program string) {
	folder := t.TempDir()
	good, bad := filepath.Join(folder, "good"), filepath.Join(folder, "bad")
	if err := errors.Join(os.WriteFile(good, nil, 0o600), os.WriteFile(bad, []byte("bad"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--config", bad}, {"--config", folder + "/none"}, {"--config", good, "--log", folder},
		{"--config", good, "--socket", folder}, {"--config", good, "--pauses", "soon"},
	} {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(out), "supervisor: ") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%q: %v, printed %q", args, err, out)
		}
	}
}
