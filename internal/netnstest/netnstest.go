//go:build linux

// Package netnstest gives a test a network of its own: it runs the test again in a child process with
// a new network namespace, in which it is root and may make interfaces, addresses and further hosts.
//
//	func TestTwoHosts(t *testing.T) {
//		if !netnstest.Inside(t) {
//			return // it has run in the child
//		}
//		here, there := netnstest.Wire(t, 1400)
//		there.Do(func() { ... }) // sockets that are made here belong to the other host
//	}
//
// It is for tests only; nothing that ships imports it. Don't use it where the loopback interface of
// the machine will do. Where the machine doesn't permit namespaces the test is skipped.
package netnstest

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// env names the test that a child runs.
const env = "NETNSTEST"

// Inside tells whether the test has a network of its own. If it doesn't, Inside runs it again in a
// child that does, reports how that went, and the test has to return. The loopback interface is up.
// The name of the test must be the same in each run.
func Inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(env) == t.Name() {
		up(t, "lo")
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run="+pattern(t.Name()), "-test.v")
	cmd.Env = append(os.Environ(), env+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN}, // in those namespaces only
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		t.Skipf("this machine permits no network namespaces: %v", err)
	case err != nil:
		t.Errorf("in a network namespace: %v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("in a network namespace:\n%s", out)
	}
	return false
}

// pattern selects one test, or subtest.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// Host is a machine with a network of its own: a network namespace and a thread that is in it.
type Host struct {
	// Interface is the name of its end of the wire.
	Interface string
	// IPv4 and IPv6 are its addresses, with their networks.
	IPv4, IPv6 netip.Prefix

	work chan func()
}

// Do runs f on the host and waits for it: sockets that are made meanwhile belong to the host, and can
// be used from anywhere. f must not call t.FailNow. On the host that the test runs on it just calls f.
func (h *Host) Do(f func()) {
	if h.work == nil {
		f()
		return
	}
	var done sync.WaitGroup
	done.Add(1)
	h.work <- func() {
		defer done.Done()
		f()
	}
	done.Wait()
}

// newHost makes a host that lives until the end of the test. fd is its namespace.
func newHost(t *testing.T) (h *Host, fd int) {
	t.Helper()
	h = &Host{work: make(chan func())}
	var err error
	ready := make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		close(ready)
		for f := range h.work {
			f()
		}
	}()
	t.Cleanup(func() { close(h.work) })
	<-ready
	if err != nil {
		t.Skipf("this machine permits no second network namespace: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return h, fd
}

// Wire makes a second host and a wire between the two, a pair of veth interfaces of that MTU in
// bytes. The first host is the one that the test runs on. Both have addresses of IPv4 and IPv6 on it,
// and no other routes. Without veth the test is skipped.
func Wire(t *testing.T, mtu int) (here, there *Host) {
	t.Helper()
	there, fd := newHost(t)
	here = &Host{}
	here.Interface, there.Interface = "here", "there"
	here.IPv4, there.IPv4 = netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.2/24")
	here.IPv6, there.IPv6 = netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("2001:db8::2/64")
	if err := newVeth(here.Interface, there.Interface, mtu, fd); err != nil {
		t.Skipf("this machine has no veth interfaces: %v", err)
	}
	there.Do(func() { up(t, "lo") })
	for _, h := range []*Host{here, there} {
		h.Do(func() { up(t, h.Interface) })
	}
	for _, h := range []*Host{here, there} {
		h.Do(func() {
			awaitUp(t, h.Interface)
			for _, address := range []netip.Prefix{h.IPv4, h.IPv6} {
				if err := addAddress(h.Interface, address); err != nil {
					t.Errorf("%s on %s: %v", address, h.Interface, err)
				}
			}
		})
	}
	if t.Failed() {
		t.FailNow()
	}
	return here, there
}

// Interface gives the host that the test runs on another interface, a veth pair whose other end is up and
// has no address, and an address on it.
func Interface(t *testing.T, name string, mtu int, addresses ...netip.Prefix) {
	t.Helper()
	if err := newVeth(name, name+"x", mtu, -1); err != nil {
		t.Skipf("this machine has no veth interfaces: %v", err)
	}
	up(t, name)
	up(t, name+"x")
	awaitUp(t, name)
	for _, address := range addresses {
		if err := addAddress(name, address); err != nil {
			t.Fatalf("%s on %s: %v", address, name, err)
		}
	}
}
