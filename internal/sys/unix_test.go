//go:build linux

package sys_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// TestOpenPath: what is done through the descriptor is done to the file that it was opened for.
func TestOpenPath(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	first, second, link := filepath.Join(dir, "first"), filepath.Join(dir, "second"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(first, nil, 0o600), os.WriteFile(second, nil, 0o600), os.Symlink(second, link)); err != nil {
		t.Fatal(err)
	}
	fd, err := sys.OpenPath(first)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sys.Close(fd) }()
	if err := errors.Join(os.Rename(first, first+" moved"), os.Rename(link, first)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sys.Chmod(fd, 0o640), sys.Chown(fd, os.Geteuid(), -1)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(first + " moved"); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file has %v, %v", info, err)
	}
	if info, err := os.Stat(second); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the other file has %v, %v", info, err)
	}
	if _, err := sys.OpenPath(filepath.Join(dir, "missing")); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("OpenPath of nothing: %v", err)
	}
	linked, err := sys.OpenPath(first)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sys.Close(linked) }()
	if err := sys.Chmod(linked, 0o644); err == nil {
		t.Error("a symbolic link has got a mode")
	}
}

func TestPeerCredentials(t *testing.T) {
	fdtest.Check(t)
	a, _ := socketPair(t, sys.Stream)
	pid, uid, gid, err := sys.PeerCredentials(a)
	if pid != os.Getpid() || uid != os.Geteuid() || gid != os.Getegid() || err != nil {
		t.Errorf("PeerCredentials: %d, %d, %d, %v", pid, uid, gid, err)
	}
	if err := sys.CheckUnix(a); err != nil {
		t.Errorf("CheckUnix: %v", err)
	}
	null := some(t, 1)[0]
	if err := sys.CheckUnix(null); !errors.Is(err, syscall.ENOTSOCK) {
		t.Errorf("CheckUnix of a file: %v", err)
	}
	if _, _, _, err := sys.PeerCredentials(null); !errors.Is(err, syscall.ENOTSOCK) {
		t.Errorf("PeerCredentials of a file: %v", err)
	}
}
