//go:build linux

package filewatch_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
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

// TestUnmount: a root that is unmounted is Gone; what is mounted below as well, where inotify is read directly.
func TestUnmount(t *testing.T) {
	if !inChild(t, namespaces()) {
		return
	}
	forEach(t, func(t *testing.T, ops filewatch.Op) {
		r := newRig(t, filewatch.Config{})
		mount := func(name string) {
			r.mkdir(name)
			if err := syscall.Mount("none", r.path(name), "tmpfs", 0, ""); err != nil {
				t.Skipf("mount: %v", err)
			}
		}
		unmount := func(name string) { r.check(syscall.Unmount(r.path(name), 0)) }
		mount("a")
		mount("b/c")
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
