//go:build linux

package sys_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// TestHasWriter: until the last who could write has closed the file; who reads doesn't matter.
func TestHasWriter(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(want bool, when string) {
		t.Helper()
		if got, err := sys.HasWriter(name); err != nil || got != want {
			t.Errorf("%s: %t, %v", when, got, err)
		}
	}
	if _, err := sys.HasWriter(name); err != nil {
		t.Skipf("no leases here: %v", err)
	}
	reader, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	ask(false, "open for reading")
	writer, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	ask(true, "open for writing")
	ask(true, "once more")
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	ask(false, "closed")
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	writer, err = os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0) // the lease was given back
	if err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
}

// TestHasWriterOfOthers: only of regular files can be asked.
func TestHasWriterOfOthers(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{filepath.Join(dir, "none"): fs.ErrNotExist, link: syscall.ELOOP, dir: syscall.EINVAL} {
		if writer, err := sys.HasWriter(name); writer || !errors.Is(err, want) {
			t.Errorf("of %s: %t, %v, want %v", filepath.Base(name), writer, err, want)
		}
	}
}
