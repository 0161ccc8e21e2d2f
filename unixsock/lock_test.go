//go:build linux

package unixsock_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// TestLockedFolder: somebody else's lock on the folder doesn't keep Listen for ever.
func TestLockedFolder(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Flock(fd, unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	done := make(chan bool)
	go func() {
		l := mustListen(t, loop, filepath.Join(dir, "s"), unixsock.ListenConfig{})
		l.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(1500 * time.Millisecond):
		t.Error("Listen waits for the lock")
		_ = unix.Flock(fd, unix.LOCK_UN)
		<-done
	}
	looptest.Run(t, loop)
}
