//go:build linux

package shmconn_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// TestForked: a process that is killed is missed at once, though a child that it has started lives on. The child has
// nothing of the connection.
func TestForked(t *testing.T) {
	fdtest.Check(t)
	nothingMapped(t)
	loop, _ := runs(t)
	opened, closed := make(chan bool, 1), make(chan error, 1)
	h := &hooks{
		open:   func(*shmconn.RecordConn) error { opened <- true; return nil },
		closed: func(_ *shmconn.RecordConn, cause error) { closed <- cause },
	}
	path := listens(t, loop, h, shmconn.ListenConfig{})
	parent := childTest(t, "TestChildWithChild", path)
	life, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	looptest.Await(t, opened, "the connection")
	line, err := said.ReadString('\n')
	var child int
	if n, _ := fmt.Sscanf(line, "child %d", &child); n != 1 {
		_ = parent.Process.Kill()
		t.Fatalf("the parent said %q, %v", line, err)
	}
	for _, held := range holds(t, child) {
		if strings.Contains(held, "memfd:") || strings.Contains(held, "eventfd") || strings.Contains(held, "socket:") {
			t.Errorf("the child holds %s", held)
		}
	}

	must(t, parent.Process.Kill())
	cause := looptest.Await(t, closed, "the end of the connection")
	if !errors.Is(cause, shmconn.ErrPeerDied) || !errors.Is(cause, unix.ECONNRESET) {
		t.Errorf("it ended with %v", cause)
	}
	if err := unix.Kill(child, 0); err != nil {
		t.Errorf("the child has ended, too: %v", err)
	}
	must(t, life.Close()) // that the child waits for
	if _, err := io.Copy(io.Discard, said); err != nil {
		t.Error(err)
	}
	if err := parent.Wait(); err == nil || parent.ProcessState.ExitCode() != -1 {
		t.Errorf("the parent ended by itself: %v", err)
	}
}

// holds lists what a process has open and mapped.
func holds(t *testing.T, pid int) (list []string) {
	t.Helper()
	folder := filepath.Join("/proc", strconv.Itoa(pid))
	entries, err := os.ReadDir(folder + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		target, err := os.Readlink(folder + "/fd/" + entry.Name())
		must(t, err)
		list = append(list, target)
	}
	maps, err := os.ReadFile(folder + "/maps")
	must(t, err)
	return append(list, strings.Split(string(maps), "\n")...)
}

// TestChildWithChild is the process that is killed.
func TestChildWithChild(t *testing.T) {
	path := os.Getenv(childVariable)
	if path == "" {
		t.Skip("it is for TestForked")
	}
	loop, _ := runs(t)
	opened := make(chan bool, 1)
	h := &hooks{open: func(*shmconn.RecordConn) error { opened <- true; return nil }}
	looptest.Do(t, loop, func() {
		_, err := shmconn.DialRecords(loop, shmconn.Dialer{Path: path}, h, shmconn.RecordConfig{})
		must(t, err)
	})
	looptest.Await(t, opened, "the connection")
	child := exec.Command("cat") // until the end of what this process was given to read
	child.Stdin, child.Stdout = os.Stdin, os.Stdout
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("child %d\n", child.Process.Pid)
	_ = child.Wait()
}

// TestManyRings: hundreds of connections in one loop, both ends of each.
func TestManyRings(t *testing.T) {
	fdtest.Check(t)
	nothingMapped(t)
	const n, rounds = 300, 10
	loop, _ := runs(t)
	config := shmconn.Config{Capacity: tiny}
	path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{Ring: config})
	ended := make(chan error, n)
	looptest.Do(t, loop, func() {
		for i := range n {
			got := 0
			record := func() []byte { return fmt.Appendf(nil, "record %d of connection %d", got, i) }
			h := &hooks{
				open: func(c *shmconn.RecordConn) error { return c.Send(record()) },
				records: shmconn.RecordFunc(func(c *shmconn.RecordConn, r []byte) error {
					if string(r) != string(record()) {
						t.Errorf("got %q, want %q", r, record())
					}
					if got++; got == rounds {
						c.Close()
						return nil
					}
					return c.Send(record())
				}).HandleRecords,
				closed: func(_ *shmconn.RecordConn, cause error) { ended <- cause },
			}
			_, err := shmconn.DialRecords(loop, shmconn.Dialer{Path: path, Ring: config}, h, shmconn.RecordConfig{})
			must(t, err)
		}
	})
	for range n {
		must(t, looptest.Await(t, ended, "the end of a connection"))
	}
}

// TestListenerKilled: what is left of a listener that was killed is its socket's file, which the next one replaces.
func TestListenerKilled(t *testing.T) {
	fdtest.Check(t)
	nothingMapped(t)
	path := ringPath(t)
	listener := childTest(t, "TestChildListens", path)
	out, err := listener.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "listens\n" {
		_ = listener.Process.Kill()
		t.Fatalf("the listener said %q, %v", line, err)
	}
	loop, _ := runs(t)
	ended := make(chan error, 1)
	opened := make(chan bool, 1)
	h := &hooks{
		open:   func(*shmconn.RecordConn) error { opened <- true; return nil },
		closed: func(_ *shmconn.RecordConn, cause error) { ended <- cause },
	}
	looptest.Do(t, loop, func() {
		_, err := shmconn.DialRecords(loop, shmconn.Dialer{Path: path}, h, shmconn.RecordConfig{})
		must(t, err)
	})
	looptest.Await(t, opened, "the connection")
	must(t, listener.Process.Kill())
	if cause := looptest.Await(t, ended, "the end of the connection"); !errors.Is(cause, shmconn.ErrPeerDied) {
		t.Errorf("it ended with %v", cause)
	}
	_ = listener.Wait()
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 || left[0].Name() != filepath.Base(path) {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
	if err := looptest.Await(t, dials(t, loop, shmconn.Dialer{Path: path}), "the end of the dialling"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("dialling what is left: %v", err)
	}
	var next *connection.Listener
	looptest.Do(t, loop, func() {
		next, err = shmconn.Listen(loop, path, echoes, shmconn.ListenConfig{})
		must(t, err)
	})
	expectService(t, path)
	looptest.Do(t, loop, next.Close)
	looptest.Do(t, loop, func() {}) // it is closed at the end of the turn
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

// TestChildListens is the listener that is killed.
func TestChildListens(t *testing.T) {
	path := os.Getenv(childVariable)
	if path == "" {
		t.Skip("it is for TestListenerKilled")
	}
	loop, _ := looptest.New(t)
	if _, err := shmconn.Listen(loop, path, echoes, shmconn.ListenConfig{}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("listens")
	looptest.Run(t, loop)
}
