//go:build linux

package filewatch_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// childEnv names the test that a child runs.
const childEnv = "FILEWATCH_TEST"

// inChild tells whether this is a process with those attributes. If not, it runs the test again in one.
func inChild(t *testing.T, attributes *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(childEnv) == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), childEnv+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = attributes
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		t.Skipf("this machine permits no such child: %v", err)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("the child has run nothing: %s", out)
	}
	return false
}

// namespaces are those in which the user may mount, and set limits.
func namespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// nobody is an ordinary user, if the test is run by one that may do everything.
func nobody() *syscall.SysProcAttr {
	if os.Getuid() != 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// TestPermission: a root that must not be read is an error, a directory below is told and the rest goes on.
func TestPermission(t *testing.T) {
	if !inChild(t, nobody()) {
		return
	}
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.mkdir("a")
		r.mkdir("secret")
		r.check(os.Chmod(r.path("secret"), 0))
		for _, recursive := range []bool{false, true} {
			err := r.w.Add(r.path("secret"), filewatch.Watch{Ops: ops, Recursive: recursive})
			if !errors.Is(err, fs.ErrPermission) {
				t.Errorf("Add answers %v", err)
			}
		}
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		r.check(os.MkdirAll(r.path("b"), 0)) // appears and can't be read either
		r.settle()
		r.mkdir("a/c")
		r.settle()
		var denied []string
		for _, e := range r.events {
			if e.Op == filewatch.Failed && errors.Is(e.Err, fs.ErrPermission) && e.Directory && e.Root == r.dir {
				denied = append(denied, e.Path)
			}
		}
		if want := []string{r.path("secret"), r.path("b")}; !slices.Equal(denied, want) {
			t.Errorf("denied were %q, want %q", denied, want)
		}
		if got := created(r.take()); !slices.Equal(got, []string{"a/c", "b"}) {
			t.Errorf("created were %q", got)
		}
	})
}

// TestManyFailures: no more of them wait than a thousand.
func TestManyFailures(t *testing.T) {
	if !inChild(t, nobody()) {
		return
	}
	const most, more = 1000, 10
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		for i := range most + more {
			r.check(os.Mkdir(r.path(fmt.Sprint(i)), 0))
		}
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		r.settle()
		failed := 0
		for _, e := range r.events {
			if e.Op == filewatch.Failed && errors.Is(e.Err, fs.ErrPermission) {
				failed++
			}
		}
		last := r.events[len(r.events)-1]
		if failed != most+1 || last.Path != r.dir || !strings.Contains(last.Err.Error(), fmt.Sprint(more, " more")) {
			t.Errorf("%d failures were told, at last %v", failed, last)
		}
	})
}

// TestNoDescriptors: the process has none left.
func TestNoDescriptors(t *testing.T) {
	if !inChild(t, nobody()) {
		return
	}
	loop, _ := looptest.New(t)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	for _, left := range []int{0, 1} {
		next, err := os.Open(os.DevNull) // the first number that is free
		if err != nil {
			t.Fatal(err)
		}
		limit := syscall.Rlimit{Cur: uint64(next.Fd()) + uint64(left), Max: old.Max}
		_ = next.Close()
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		_, err = filewatch.New(loop, func(filewatch.Event) error { return nil }, filewatch.Config{})
		if e := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); e != nil {
			t.Fatal(e)
		}
		if !errors.Is(err, filewatch.ErrInstances) {
			t.Errorf("with %d left New answers %v", left, err)
		}
	}
}

// TestPathTooLong: a directory below that has too long a path is told, and the rest is watched.
func TestPathTooLong(t *testing.T) {
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.mkdir("short")
		name := strings.Repeat("long", 60)
		dir, err := os.OpenRoot(r.dir)
		for range 18 {
			r.check(err)
			r.check(dir.Mkdir(name, 0o755))
			above := dir
			dir, err = dir.OpenRoot(name)
			_ = above.Close()
		}
		r.check(err)
		_ = dir.Close()
		r.add(r.dir, filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		r.settle()
		if len(r.events) != 1 || r.events[0].Op != filewatch.Failed || !errors.Is(r.events[0].Err, syscall.ENAMETOOLONG) {
			t.Errorf("told %q", r.events)
		}
		r.take()
		r.mkdir("short/a")
		r.expect("created short/a")
	})
}

// TestUnmount: a root that is unmounted is Gone; what is mounted below as well, where inotify is read directly.
func TestUnmount(t *testing.T) {
	if !inChild(t, namespaces()) {
		return
	}
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		unmount := func(name string) { r.check(syscall.Unmount(r.path(name), 0)) }
		r.mount("a")
		r.mount("b/c")
		r.add(r.path("a"), filewatch.Watch{Ops: ops})
		r.add(r.path("b"), filewatch.Watch{Ops: ops, Recursive: true})
		r.start()
		r.mkdir("a/x")
		r.mkdir("b/c/x")
		r.expectSet("created a/x", "created b/c/x")
		unmount("a")
		unmount("b/c")
		r.await(filewatch.Gone, "a")
		want := []string{"gone a"}
		if ops.Has(filewatch.Finished) {
			want = append(want, "gone b/c")
		}
		r.settle()
		got := slices.DeleteFunc(r.take(), func(text string) bool { return text == "gone b/c/x" }) // if its turn was first
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		r.mkdir("b/d")
		r.expect("created b/d")
	})
}

// TestKernelLimits: their errors name what to change. A user namespace has limits of its own.
func TestKernelLimits(t *testing.T) {
	if !inChild(t, namespaces()) {
		return
	}
	set := func(name, value string) {
		t.Helper()
		if err := os.WriteFile("/proc/sys/user/"+name, []byte(value), 0o600); err != nil {
			t.Skip(err)
		}
	}
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		r.mkdir("a")
		r.mkdir("b/c/d")
		r.add(r.path("a"), filewatch.Watch{Ops: ops, Recursive: true})
		set("max_inotify_watches", "6") // five are in use at most
		defer set("max_inotify_watches", "1000")
		if err := r.w.Add(r.path("b"), filewatch.Watch{Ops: ops, Recursive: true}); !errors.Is(err, filewatch.ErrWatches) {
			t.Errorf("Add answers %v", err)
		}
		r.start()
		r.mkdir("a/1/2/3/4")
		r.settle()
		if !slices.ContainsFunc(r.events, func(e filewatch.Event) bool {
			return e.Op == filewatch.Failed && errors.Is(e.Err, filewatch.ErrWatches)
		}) {
			t.Errorf("told %q", r.take())
		}
	})
	for name, ops := range sources {
		t.Run(name+" instances", func(t *testing.T) {
			limit := "0"
			if name == "fsnotify" {
				limit = "1" // it needs another to learn of an unmount
			}
			set("max_inotify_instances", limit)
			w := newWatcher(t)
			if err := w.Add(t.TempDir(), filewatch.Watch{Ops: ops}); !errors.Is(err, filewatch.ErrInstances) {
				t.Errorf("Add answers %v", err)
			}
			if w.Len() != 0 || w.Directories() != 0 {
				t.Errorf("%q, %d directories are watched", w.Watched(), w.Directories())
			}
		})
	}
}
