//go:build linux

package procwatch_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// machineRole watches the machine where it may not be allowed to, and says what came of it.
func machineRole() error {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	_, err = procwatch.Machine(loop, func(procwatch.MachineEvent) error { return nil }, procwatch.MachineOptions{})
	var permission *procwatch.PermissionError
	switch {
	case errors.As(err, &permission):
		fmt.Printf("missing %s, %v", permission.Missing, errors.Is(err, os.ErrPermission))
	case err != nil:
		return err
	default:
		fmt.Print("allowed")
	}
	return loop.Close()
}

// TestMachinePermission asks in processes that may not, and are to be told why.
func TestMachinePermission(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	loop, _ := looptest.New(t)
	machine(t, loop, func(procwatch.MachineEvent) error { return nil }, procwatch.MachineOptions{}).Close()
	root := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	for _, c := range []struct {
		name string
		attr syscall.SysProcAttr
		want []string
	}{
		// Since Linux 6.6 any user may.
		{"another user", syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}},
			[]string{"missing the capability CAP_NET_ADMIN, true", "allowed"}},
		{"a network namespace", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}, []string{"missing the initial network namespace, true"}},
		{"a PID namespace", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}, []string{"missing the initial PID namespace, true"}},
		{"a user namespace", syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: root, GidMappings: root},
			[]string{"missing the initial user namespace, true", "missing the capability CAP_NET_ADMIN, true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := role(t, "machine")
			command.SysProcAttr = &c.attr
			var out strings.Builder
			command.Stdout = &out
			if err := command.Start(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
				t.Skipf("no such process can be made here: %v", err)
			} else if err != nil {
				t.Fatal(err)
			}
			if err := command.Wait(); err != nil {
				t.Errorf("%v: %s", err, &out)
			}
			if !slices.Contains(c.want, out.String()) {
				t.Errorf("answered %q, want one of %q", &out, c.want)
			}
		})
	}
}
