//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	// kernelStat is a line of a thread of the kernel, recorded, and userStat one of a process with a hostile name.
	kernelStat = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 1 0 0 20 0 1 0 24 0 0 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 1 0 0 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
	userStat   = "77 (a) Z 1 (\n) S 1 77 77 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 24 2000 10 18446744073709551615\n"
)

func TestParseStat(t *testing.T) {
	for line, want := range map[string]status{
		kernelStat: {"kthreadd", "S", "1", true},
		userStat:   {"a) Z 1 (\n", "S", "1", false},
	} {
		if got, err := parseStat(line); got != want || err != nil {
			t.Errorf("%q: got %+v, %v, want %+v", line, got, err, want)
		}
	}
	for _, line := range []string{"", "2", "2 (x", "2 (x)", "2 (x) ", "2 (x) S 1 1 1 0 -1", "2 (x) S 1 1 1 0 -1 1", "2 (x) S 1 1 1 0 -1 flags 0 0 0 0 0 0 0 0 0 0 1", "2 (x) S 1 1 1 0 -1 -1 0 0 0 0 0 0 0 0 0 0 1"} {
		if got, err := parseStat(line); err == nil {
			t.Errorf("%q: got %+v", line, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add(kernelStat)
	f.Add(userStat)
	f.Fuzz(func(t *testing.T, line string) {
		s, err := parseStat(line)
		if err != nil {
			return
		}
		if !strings.Contains(line, "("+s.comm+") ") || !strings.Contains(line, s.state) {
			t.Errorf("%q: %+v", line, s)
		}
	})
}

func TestBeginning(t *testing.T) {
	var b beginning
	for range 3 {
		if n, err := b.Write(make([]byte, systemctlOutput-1)); n != systemctlOutput-1 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
	}
	if len(b) != systemctlOutput {
		t.Errorf("%d bytes are kept", len(b))
	}
}

// fakeProc is a /proc with processes of our own.
type fakeProc struct {
	testing.TB
	dir string
}

// add makes a process. A state with a plus is that of the first of two threads.
func (f fakeProc) add(pid int, comm, state, flags, exe, cmdline string) {
	f.Helper()
	dir := filepath.Join(f.dir, strconv.Itoa(pid))
	if err := os.Mkdir(dir, 0o755); err != nil {
		f.Fatal(err)
	}
	threads := "1"
	if first, found := strings.CutSuffix(state, "+"); found {
		state, threads = first, "2"
	}
	line := strconv.Itoa(pid) + " (" + comm + ") " + state + " 1 1 1 0 -1 " + flags + " 0 0 0 0 0 0 0 0 0 0 " + threads + "\n"
	if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(line), 0o600); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cmdline"), []byte(cmdline), 0o600); err != nil {
		f.Fatal(err)
	}
	if exe == "" {
		return
	}
	if err := os.Symlink(exe, filepath.Join(dir, "exe")); err != nil {
		f.Fatal(err)
	}
}

func TestSearch(t *testing.T) {
	f := fakeProc{t, t.TempDir()}
	const user, kernel = "4194560", "2129984"
	f.add(2, "kworker", "S", kernel, "", "")
	f.add(3, "imagesrv", "S", user, "/usr/bin/imagesrv", "/usr/bin/imagesrv\x00--port\x001\x00")
	f.add(4, "imagesrv", "Z", user, "", "")
	f.add(5, "imagesrv", "X", user, "", "")
	f.add(6, "a-very-long-nam", "R", user, "/opt/a-very-long-name (deleted)", "renamed")
	f.add(7, "main", "D", user, "", "/opt/another-very-long-name\x00-x\x00")
	f.add(8, "report.py", "S", user, "/usr/bin/python3", "python3\x00/usr/bin/report.py\x00")
	f.add(9, "odd) name", "S", user, "", "")
	f.add(10, "twin", "S", user, "/usr/bin/x", "")
	f.add(11, "y", "S", user, "/usr/bin/twin", "")
	f.add(12, "long", "S", user, "", strings.Repeat("x", 2*maxCommand))
	f.add(15, "half", "Z+", user, "", "")
	f.add(os.Getpid(), "twin", "S", user, "", "")
	for name, text := range map[string]string{"13/stat": "garbage", "14/nothing": "", "self/stat": "3 (imagesrv) S"} {
		if err := os.MkdirAll(filepath.Join(f.dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	proc := procfs(f.dir)
	for name, want := range map[string][]int{
		"imagesrv":               {3},
		"kworker":                nil,
		"a-very-long-name":       {6},
		"a-very-long-nam":        {6},
		"another-very-long-name": {7},
		"python3":                {8},
		"report.py":              {8},
		"odd) name":              {9},
		"twin":                   {10, 11},
		"half":                   {15},
		"/usr/bin/imagesrv":      {3},
		"/opt/a-very-long-name":  {6},
		"bin/imagesrv":           nil,
		"/usr/bin/report.py":     nil,
		"/imagesrv":              nil,
		"":                       nil,
		".":                      nil,
		"*":                      nil,
	} {
		if got, err := proc.search(name); !slices.Equal(got, want) || err != nil {
			t.Errorf("%q: got %v, %v, want %v", name, got, err, want)
		}
	}
	for pid, want := range map[int]string{
		2:  "[kworker]",
		3:  "/usr/bin/imagesrv --port 1",
		12: strings.Repeat("x", maxShown) + "...",
		13: "[?]",
		99: "[?]",
	} {
		if got := proc.command(pid); got != want {
			t.Errorf("%d: got %q, want %q", pid, got, want)
		}
	}
	if got := proc.owner(99); got != "?" {
		t.Errorf("the owner of nobody is %q", got)
	}
	if _, err := procfs(filepath.Join(f.dir, "missing")).search("x"); err == nil {
		t.Error("no error without /proc")
	}
}

func TestIgnores(t *testing.T) {
	dir := t.TempDir()
	proc := procfs(dir)
	if err := os.Mkdir(filepath.Join(dir, "7"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text string
		want []syscall.Signal
	}{
		{"Name:\tx\nSigPnd:\t0\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000006\nSigCgt:\t0000000000004000\n", []syscall.Signal{2, 3}},
		{"SigBlk:\t0000000000000002\nSigIgn:\t8000000000000006\n", []syscall.Signal{3, 64}},
		{"SigIgn:\t8000000000000006\nSigBlk:\tffffffffffffffff\n", nil},
		{"SigIgn:\tgarbage\n", nil},
		{"SigIgn", nil},
		{"", nil},
	} {
		if err := os.WriteFile(filepath.Join(dir, "7", "status"), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var got []syscall.Signal
		for sig := syscall.Signal(1); sig <= maxSignal; sig++ {
			if ignored, blocked := proc.ignores(7, sig); ignored && !blocked {
				got = append(got, sig)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %v, want %v", tt.text, got, tt.want)
		}
	}
	if ignored, blocked := proc.ignores(8, syscall.SIGINT); ignored || blocked {
		t.Error("nobody ignores a signal")
	}
}
