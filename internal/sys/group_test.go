//go:build linux

package sys_test

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// TestSignalGroup: numbers that mean something else to kill(2) reach nobody, nor does one that no group has.
func TestSignalGroup(t *testing.T) {
	cmd := exec.Command("sleep", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	group := cmd.Process.Pid
	for _, none := range []int{-group, -1, 0, 1} {
		if err := sys.SignalGroup(none, syscall.SIGURG); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("group %d: %v", none, err)
		}
	}
	if err := sys.SignalGroup(group, syscall.SIGUSR1); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed: the next line looks
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGUSR1 {
		t.Errorf("it has ended with %v", cmd.ProcessState)
	}
	if err := sys.SignalGroup(group, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a group that has ended: %v", err)
	}
}
