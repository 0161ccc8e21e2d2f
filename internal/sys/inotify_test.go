//go:build linux

package sys_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

func TestInotify(t *testing.T) {
	fd, err := sys.InotifyInit()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sys.Close(fd) }()
	buf := make([]byte, 4096)
	if _, err := sys.Read(fd, buf); !errors.Is(err, sys.ErrWouldBlock) {
		t.Errorf("Read of nothing answers %v", err)
	}
	dir := t.TempDir()
	wd, err := sys.InotifyAdd(fd, dir, sys.FileCreated|sys.FileMovedFrom|sys.FileMovedTo|sys.WatchOnlyDir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := sys.InotifyAdd(fd, dir+"/.", sys.FileCreated|sys.WatchAdd); again != wd || err != nil {
		t.Errorf("InotifyAdd of the same answers %d, %v, want %d", again, err, wd)
	}
	name, other := filepath.Join(dir, "name"), filepath.Join(dir, "a-name-of-more-than-sixteen-bytes")
	if err := os.Mkdir(name, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name, other); err != nil {
		t.Fatal(err)
	}
	if _, err := sys.InotifyAdd(fd, filepath.Join(dir, "none"), sys.FileCreated); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("InotifyAdd of nothing answers %v", err)
	}
	if err := sys.InotifyRemove(fd, wd); err != nil {
		t.Error(err)
	}
	if err := sys.InotifyRemove(fd, wd); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("InotifyRemove once more answers %v", err)
	}
	n, err := sys.Read(fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	var cookies []uint32
	rest := buf[:n]
	for _, want := range []struct {
		mask uint32
		name string
	}{
		{sys.FileCreated | sys.FileIsDir, "name"},
		{sys.FileMovedFrom | sys.FileIsDir, "name"},
		{sys.FileMovedTo | sys.FileIsDir, filepath.Base(other)},
		{sys.WatchEnded, ""},
	} {
		var c sys.FileChange
		var ok bool
		if c, rest, ok = sys.NextFileChange(rest); !ok || c.Mask != want.mask || c.Name != want.name || c.WD != wd {
			t.Errorf("got %+v, %t, want %+v", c, ok, want)
		}
		cookies = append(cookies, c.Cookie)
	}
	if cookies[0] != 0 || cookies[1] == 0 || cookies[1] != cookies[2] {
		t.Errorf("cookies are %v", cookies)
	}
	if c, _, ok := sys.NextFileChange(rest); ok {
		t.Errorf("and %+v", c)
	}
	if c, _, ok := sys.NextFileChange(buf[:n][:31]); ok { // in the middle of a name
		t.Errorf("of a piece: %+v", c)
	}
}

func TestFileStat(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(".", link); err != nil {
		t.Fatal(err)
	}
	there, err := sys.FileStat(dir, false)
	if err != nil || !there.Directory || there.Link || there.Changed.IsZero() {
		t.Errorf("%+v, %v", there, err)
	}
	if s, err := sys.FileStat(link, false); err != nil || s.Directory || !s.Link || s.ID == there.ID {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := sys.FileStat(link, true); err != nil || !s.Directory || s.Link || s.ID != there.ID {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := sys.FileStat(filepath.Join(dir, "none"), true); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}
