//go:build linux

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	maxStat    = 4 << 10 // a line of 52 numbers and a name of 63 bytes at most
	maxStatus  = 1 << 20 // of the lines for people, one of which has up to 65536 groups
	maxCommand = 4 << 10 // of a command line, which may have megabytes
	maxShown   = 120     // characters that are shown of a command line, and of what systemctl prints

	kernelThread = 0x00200000 // PF_KTHREAD of the flags in proc_pid_stat(5)
)

var errStat = errors.New("not the stat of a process")

// procfs is the folder that the processes are looked up in.
type procfs string

func (p procfs) file(pid int, name string) string {
	return filepath.Join(string(p), strconv.Itoa(pid), name)
}

// read reads the beginning of a file of a process.
func (p procfs) read(pid int, name string, limit int64) ([]byte, error) {
	f, err := os.Open(p.file(pid, name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit))
}

// status is what is looked at of the stat of a process.
type status struct {
	comm    string // the name, cut at 15 bytes unless it is that of a thread of the kernel
	state   string
	threads string // how many there are
	kernel  bool   // it is a thread of the kernel
}

// ended tells whether the process has ended and was not waited for. One whose first thread alone has ended runs.
func (s status) ended() bool {
	return s.state == "X" || s.state == "Z" && (s.threads == "0" || s.threads == "1")
}

// parseStat reads the line of proc_pid_stat(5). The name may have any characters in it, also ") ".
func parseStat(line string) (status, error) {
	_, rest, found := strings.Cut(line, " (")
	end := strings.LastIndex(rest, ") ")
	if !found || end < 0 {
		return status{}, errStat
	}
	fields := strings.Fields(rest[end+2:])
	const state, flags, threads = 0, 6, 17
	if len(fields) <= threads {
		return status{}, errStat
	}
	bits, err := strconv.ParseUint(fields[flags], 10, 64)
	if err != nil {
		return status{}, errStat
	}
	return status{comm: rest[:end], state: fields[state], threads: fields[threads], kernel: bits&kernelThread != 0}, nil
}

func (p procfs) stat(pid int) (status, error) {
	line, err := p.read(pid, "stat", maxStat)
	if err != nil {
		return status{}, err
	}
	return parseStat(string(line))
}

// ignores tells whether a process ignores a signal now, and whether its first thread blocks it: then the kernel keeps it,
// be it ignored, for signalfd(2) and the like.
func (p procfs) ignores(pid int, sig syscall.Signal) (ignored, blocked bool) {
	text, err := p.read(pid, "status", maxStatus)
	if err != nil {
		return false, false
	}
	for line := range strings.Lines(string(text)) {
		name, set, _ := strings.Cut(line, ":")
		bits, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64)
		switch set := err == nil && bits&(1<<(sig-1)) != 0; name {
		case "SigIgn":
			ignored = set
		case "SigBlk":
			blocked = set
		}
	}
	return ignored, blocked
}

// has tells whether a process that runs has that name: comm, or what its program's file or its first argument is
// called, because comm is cut at 15 bytes, and that of a script is the script's. A name with a slash is the whole path of
// the file. What can't be read is no match.
func (p procfs) has(pid int, name string) bool {
	s, err := p.stat(pid)
	if err != nil || s.kernel || s.ended() {
		return false
	}
	exe, err := os.Readlink(p.file(pid, "exe"))
	exe = strings.TrimSuffix(exe, " (deleted)")
	if strings.Contains(name, "/") {
		return exe == name
	}
	if s.comm == name || err == nil && filepath.Base(exe) == name {
		return true
	}
	command, _ := p.read(pid, "cmdline", maxCommand)
	first, _, _ := bytes.Cut(command, []byte{0})
	return len(first) > 0 && filepath.Base(string(first)) == name
}

// search returns the processes of that name, without this one.
func (p procfs) search(name string) (pids []int, err error) {
	dir, err := os.Open(string(p))
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	entries, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry); err == nil && pid != os.Getpid() && p.has(pid, name) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// command is the command line of a process for people, or its name in brackets, as ps has it.
func (p procfs) command(pid int) string {
	text, _ := p.read(pid, "cmdline", maxCommand)
	line := strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
	if line == "" {
		s, _ := p.stat(pid)
		return "[" + cmp.Or(s.comm, "?") + "]"
	}
	return shorten(line)
}

// shorten cuts a text from elsewhere to what is shown of it.
func shorten(text string) string {
	if runes := []rune(text); len(runes) > maxShown {
		return string(runes[:maxShown]) + "..."
	}
	return text
}

// owner is the name of a process's user, or his number, "?" if the process has gone.
func (p procfs) owner(pid int) string {
	info, err := os.Stat(p.file(pid, ""))
	if err != nil {
		return "?"
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "?"
	}
	id := strconv.FormatUint(uint64(stat.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// describe is a process in a list, its number, user and command line.
func (p procfs) describe(pid int) string {
	return fmt.Sprintf("%d %s %s", pid, p.owner(pid), p.command(pid))
}
