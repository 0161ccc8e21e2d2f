//go:build linux

package ring_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// childEnv tells a process that it is the child, and the capacity of the rings and how many records to send.
const childEnv = "RING_TEST_CHILD"

// The descriptors of the child.
const (
	childMemory = 3 + iota
	parentMemory
	childBell
	parentBell
)

// TestProcesses sends records between this process and a child, both ways at once, a million with both tests.
func TestProcesses(t *testing.T) {
	if job := os.Getenv(childEnv); job != "" {
		beChild(t, job)
		return
	}
	for _, c := range []struct{ capacity, n int }{{64, 20_000}, {1 << 15, 480_000}} {
		t.Run(fmt.Sprint(c.capacity), func(t *testing.T) {
			fdtest.Check(t)
			if raceDetector {
				c.n /= 4
			}
			beParent(t, c.capacity, c.n)
		})
	}
}

func beParent(t *testing.T, capacity, n int) {
	var fds [4]int
	var files []*os.File
	for i, create := range []func() (int, error){
		func() (int, error) { return sys.MemFD("child", ring.Size(capacity)) },
		func() (int, error) { return sys.MemFD("parent", ring.Size(capacity)) },
		sys.NewDoorbell, sys.NewDoorbell,
	} {
		var err error
		if fds[i], err = create(); err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(fds[i]), "of the child")
		t.Cleanup(func() { _ = file.Close() })
		files = append(files, file)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestProcesses$", "-test.timeout=10s")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", childEnv, capacity, n),
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")) // or each process of the race detector takes a second to end
	child.ExtraFiles = files
	var said strings.Builder
	child.Stdout, child.Stderr = &said, &said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	of := func(child int) int { return fds[child-childMemory] }
	var failed atomic.Bool
	ended := make(chan error)
	go func() {
		err := child.Wait()
		if err != nil {
			failed.Store(true)
			_ = sys.RingDoorbell(of(parentBell)) // or nobody would ring it any more
		}
		ended <- err
	}()
	err := beSide(t, capacity, n, 0, side{
		own: of(parentMemory), peer: of(childMemory), bell: of(parentBell), peersBell: of(childBell), failed: &failed,
	})
	if err != nil {
		t.Error(err)
		cancel()
	}
	if err := <-ended; err != nil {
		t.Errorf("the child: %v\n%s", err, said.String())
	}
}

func beChild(t *testing.T, job string) {
	var capacity, n int
	if _, err := fmt.Sscan(job, &capacity, &n); err != nil {
		t.Fatal(err)
	}
	err := beSide(t, capacity, n, 1, side{own: childMemory, peer: parentMemory, bell: childBell, peersBell: parentBell})
	if err != nil {
		t.Fatal(err)
	}
}

// side is what a process has of the two sides: descriptors.
type side struct {
	own, peer, bell, peersBell int

	failed *atomic.Bool // the other process has
}

func beSide(t *testing.T, capacity, n int, seed uint64, s side) error {
	var areas [2][]byte
	for i, fd := range []int{s.own, s.peer} {
		var err error
		if areas[i], err = sys.MapShared(fd, ring.Size(capacity), i == 0); err != nil {
			return err
		}
		defer func() { _ = sys.Unmap(areas[i]) }()
	}
	set, err := sys.EpollCreate()
	if err != nil {
		return err
	}
	defer func() { _ = sys.Close(set) }()
	if err := sys.EpollAdd(set, s.bell, sys.Writable|sys.EdgeTriggered, 0, 0); err != nil {
		return err
	}
	w, r, err := ring.New(areas[0], areas[1])
	if err != nil {
		return err
	}
	p := &peer{
		w: w, r: r, rng: rand.New(rand.NewPCG(9, seed)), out: newRecords(seed, n, w.Max()), in: newRecords(1-seed, n, w.Max()),
		ring: func() { _ = sys.RingDoorbell(s.peersBell) },
		wait: func() error {
			events := make([]sys.Event, 1)
			for {
				n, err := sys.EpollWait(set, events)
				switch {
				case err != nil:
					return err
				case s.failed != nil && s.failed.Load():
					return errors.New("the other process has failed")
				case n > 0:
					return nil
				}
			}
		},
	}
	err = p.run()
	t.Logf("%d records each way: has slept %d times and rung %d times", n, p.sleeps, p.bells)
	return err
}
