//go:build linux

package unixsock_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// nobody is a user and a group that are not the test's.
const nobody = 65534

// owned is the mode, owner and group of a file.
func owned(tb testing.TB, path string) (mode os.FileMode, uid, gid int) {
	tb.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		tb.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return info.Mode(), int(st.Uid), int(st.Gid)
}

func requireRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("only root gives files away")
	}
}

// TestMode: the umask doesn't count. It belongs to the whole process, so nothing runs beside this.
func TestMode(t *testing.T) {
	fdtest.Check(t)
	for _, umask := range []int{0, 0o022, 0o027, 0o077, 0o777} {
		for config, want := range map[os.FileMode]os.FileMode{
			0: 0o600, 0o600: 0o600, 0o660: 0o660, 0o666: 0o666, 0o777: 0o777, 0o060: 0o060, os.ModeSetuid | 0o640: 0o640,
		} {
			t.Run(fmt.Sprintf("%v with %03o", config, umask), func(t *testing.T) {
				path := socketPath(t)
				old := syscall.Umask(umask)
				defer syscall.Umask(old)
				loop := looptest.NewLogging(t, slog.DiscardHandler)
				l := mustListen(t, loop, path, unixsock.ListenConfig{Mode: config})
				if mode, _, _ := owned(t, path); mode != want|os.ModeSocket {
					t.Errorf("mode %v, want %v", mode, want)
				}
				l.Close()
				looptest.Run(t, loop)
			})
		}
	}
}

// TestModeIsNeverWider looks at the file all the time, and has seen no permission that nobody asked
// for, nor one for another owner or group.
func TestModeIsNeverWider(t *testing.T) {
	requireRoot(t)
	fdtest.Check(t)
	const mode, rounds = os.FileMode(0o660), 200
	path := socketPath(t)
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
			}
			if !wider(path, mode) {
				continue
			}
			if wider(path, mode) { // seen twice: the kernel may have read mode and group at different times
				t.Error("the file had a permission that nobody asked for")
				return
			}
		}
	}()
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	for range rounds {
		l := mustListen(t, loop, path, unixsock.ListenConfig{Mode: mode, Owner: strconv.Itoa(nobody), Group: strconv.Itoa(nobody)})
		l.Close()
		looptest.Run(t, loop)
		loop = looptest.NewLogging(t, slog.DiscardHandler)
	}
	close(end)
	<-ended
}

// wider tells whether a file that is meant for a mode and the group nobody has a permission for
// others.
func wider(path string, mode os.FileMode) bool {
	info, err := os.Lstat(path)
	if err != nil {
		return false
	}
	if info.Sys().(*syscall.Stat_t).Gid != nobody {
		mode &= 0o700
	}
	return info.Mode().Perm()&^mode != 0
}

func TestOwner(t *testing.T) {
	requireRoot(t)
	fdtest.Check(t)
	number, name, group := strconv.Itoa(nobody), "", ""
	if u, err := user.LookupId(number); err == nil {
		name = u.Username
	}
	if g, err := user.LookupGroupId(number); err == nil {
		group = g.Name
	}
	for _, c := range []struct {
		owner, group string
		uid, gid     int
	}{
		{"", "", 0, 0},
		{number, "", nobody, 0},
		{"", number, 0, nobody},
		{number, number, nobody, nobody},
		{"12345", "54321", 12345, 54321}, // nobody has these
		{name, "", nobody, 0},
		{"", group, 0, nobody},
		{name, group, nobody, nobody},
	} {
		if name == "" && c.uid == nobody && c.owner == "" || group == "" && c.gid == nobody && c.group == "" {
			t.Logf("%s has no name here", number)
			continue
		}
		for _, mode := range []os.FileMode{0, 0o660} {
			path := socketPath(t)
			loop := looptest.NewLogging(t, slog.DiscardHandler)
			l := mustListen(t, loop, path, unixsock.ListenConfig{Owner: c.owner, Group: c.group, Mode: mode})
			want := mode
			if want == 0 {
				want = unixsock.DefaultMode
			}
			if mode, uid, gid := owned(t, path); uid != c.uid || gid != c.gid || mode.Perm() != want {
				t.Errorf("%q, %q: owner %d, group %d, mode %v, want %d, %d and %v", c.owner, c.group, uid, gid, mode, c.uid, c.gid, want)
			}
			l.Close()
			looptest.Run(t, loop)
			if exists(path) {
				t.Errorf("%q, %q: the file is still there", c.owner, c.group)
			}
		}
	}
}

// TestOwnGroup: a process may give its file to itself.
func TestOwnGroup(t *testing.T) {
	fdtest.Check(t)
	path := socketPath(t)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	l := mustListen(t, loop, path, unixsock.ListenConfig{Owner: strconv.Itoa(os.Geteuid()), Group: strconv.Itoa(os.Getegid()), Mode: 0o666})
	if mode, uid, gid := owned(t, path); uid != os.Geteuid() || gid != os.Getegid() || mode.Perm() != 0o666 {
		t.Errorf("owner %d, group %d, mode %v", uid, gid, mode)
	}
	l.Close()
	looptest.Run(t, loop)
}

// asNobody runs f without the privileges that root has over files; without root it has none anyway.
func asNobody(tb testing.TB, f func()) {
	tb.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	onThread(func() {
		_ = unix.Setfsgid(nobody)
		_ = unix.Setfsuid(nobody) // takes the capabilities over files along
		f()
	})
}

// onThread runs f on a thread of its own, which ends with it, and whatever f has made of it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

func TestOwnerNotPermitted(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o777), os.Chmod(filepath.Dir(dir), 0o755)); err != nil { // for nobody
		t.Fatal(err)
	}
	for what, config := range map[string]unixsock.ListenConfig{
		"owner 0":     {Owner: "0"},
		"group 12345": {Group: "12345"},
	} {
		path := filepath.Join(dir, "s")
		var err error
		loop := looptest.NewLogging(t, slog.DiscardHandler)
		asNobody(t, func() { _, err = unixsock.Listen(loop, path, welcome, config) })
		if errors.Is(err, syscall.EACCES) {
			t.Skip("nobody may use the folder for temporary files:", err)
		}
		if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want EPERM that says of what", what, err)
		}
		if exists(path) {
			t.Errorf("%s: the file is there", what)
		}
	}
}

func TestOwnerErrors(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	var unknownUser user.UnknownUserError
	var unknownGroup user.UnknownGroupError
	for _, c := range []struct {
		config unixsock.ListenConfig
		want   func(error) bool
	}{
		{unixsock.ListenConfig{Owner: "no such user"}, func(err error) bool { return errors.As(err, &unknownUser) }},
		{unixsock.ListenConfig{Group: "no such group"}, func(err error) bool { return errors.As(err, &unknownGroup) }},
		{unixsock.ListenConfig{Owner: strconv.Itoa(math.MaxUint32)}, func(err error) bool { return errors.Is(err, strconv.ErrRange) }},
		{unixsock.ListenConfig{Group: "99999999999"}, func(err error) bool { return errors.Is(err, strconv.ErrRange) }},
		{unixsock.ListenConfig{Owner: "-1"}, func(err error) bool { return errors.As(err, &unknownUser) }},
	} {
		_, err := unixsock.Listen(looptest.NewLogging(t, slog.DiscardHandler), filepath.Join(dir, "s"), welcome, c.config)
		if err == nil || !c.want(err) {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

// TestAbstractHasNoFile: what can't be had is refused rather than forgotten.
func TestAbstractHasNoFile(t *testing.T) {
	fdtest.Check(t)
	for _, config := range []unixsock.ListenConfig{{Mode: 0o600}, {Owner: "0"}, {Group: "0"}} {
		name := fmt.Sprintf("@unixsock-file-%d", os.Getpid())
		if _, err := unixsock.Listen(looptest.NewLogging(t, slog.DiscardHandler), name, welcome, config); !errors.Is(err, unixsock.ErrAbstract) {
			t.Errorf("%+v: %v", config, err)
		}
	}
}

// TestWorkingDirectory: a relative path is that of when the listener was made.
func TestWorkingDirectory(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	t.Chdir(dir)
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	l := mustListen(t, loop, "s", unixsock.ListenConfig{})
	t.Chdir("/")
	l.Close()
	looptest.Run(t, loop)
	if exists(filepath.Join(dir, "s")) {
		t.Error("the file is still there")
	}
}
