//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// fakeFolder makes a folder of a fake systemctl the PATH of this process.
func fakeFolder(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "systemctl")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv(fakeVariable, dir)
	return dir
}

// TestSystemctlTakesTooLong: ed-stop doesn't wait for ever for systemctl.
func TestSystemctlTakesTooLong(t *testing.T) {
	// A FIFO without a writer can't be opened.
	if err := syscall.Mkfifo(filepath.Join(fakeFolder(t), "answers"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := mainPID("demo", 50*time.Millisecond)
	unavailable := (*systemctlError)(nil)
	if !errors.As(err, &unavailable) || unavailable.why != "no answer within 50ms" {
		t.Errorf("got %v", err)
	}
}

// TestSystemctlLeavesSomebody: nor for what systemctl has started and left behind with its output.
func TestSystemctlLeavesSomebody(t *testing.T) {
	dir := fakeFolder(t)
	if err := os.WriteFile(filepath.Join(dir, "answers"), []byte("17\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "lingers")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	keeping, err := os.OpenFile(fifo, os.O_RDWR, 0) // who reads it is kept until this is closed
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = keeping.Close() }()
	late := time.AfterFunc(patience, func() { _ = keeping.Close() }) // else a mistake would keep the test for ever
	_, err = mainPID("demo", time.Hour)
	if !late.Stop() {
		t.Error("it has waited for the process that was left behind")
	}
	unavailable := (*systemctlError)(nil)
	if !errors.As(err, &unavailable) || unavailable.why != "what it has started keeps its output open" {
		t.Errorf("got %v", err)
	}
}
