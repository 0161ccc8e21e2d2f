//go:build linux

package procwatch_test

import (
	"fmt"
	"math"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestMachineLost: that events have found no room is told behind all that have, and what happens from the call on
// is told again, or another loss.
func TestMachineLost(t *testing.T) {
	for _, buffer := range []int{1, 64 << 10} {
		t.Run(fmt.Sprint(buffer), func(t *testing.T) {
			loop, log := looptest.New(t)
			run := func() int {
				c := exec.Command("true")
				if err := c.Run(); err != nil {
					t.Error(err)
					return 0
				}
				return c.Process.Pid
			}
			storm := map[int]bool{}
			early, late, losses, told := 0, 0, 0, false
			var m *procwatch.MachineWatch
			m = machine(t, loop, func(e procwatch.MachineEvent) error {
				switch {
				case e.Kind == procwatch.Lost && losses < 100:
					losses++
					late = run() // begins and ends before anything else is read
				case e.Kind == procwatch.Lost:
					m.Close()
				case storm[e.PID] && losses == 0:
					early++
				case storm[e.PID]:
					t.Errorf("told after Lost: %+v", e)
					m.Close()
				case e.PID == late && late != 0:
					told = true
					m.Close()
				}
				return nil
			}, procwatch.MachineOptions{Buffer: buffer, Kinds: procwatch.Fork | procwatch.Exit})
			for range 100 {
				storm[run()] = true
			}
			looptest.Run(t, loop)
			if early == 0 && buffer > 1 || losses == 0 || !told || len(log.Records()) > 0 {
				t.Errorf("%d events were told, then %d losses, then what came later: %v; logged %v", early, losses, told, log.Records())
			}
		})
	}
}

// TestMachineBuffer: more than the kernel can count is as much as there can be.
func TestMachineBuffer(t *testing.T) {
	loop, _ := looptest.New(t)
	for i, size := range []int{1 << 20, math.MaxInt} {
		m := machine(t, loop, func(procwatch.MachineEvent) error { return nil }, procwatch.MachineOptions{Buffer: size})
		got, err := unix.GetsockoptInt(loop.Sources()[i].FD, unix.SOL_SOCKET, unix.SO_RCVBUF)
		if least := 200 << 10; got < least || err != nil { // what net.core.rmem_max allows anybody
			t.Errorf("Buffer %d is %d bytes, %v", size, got, err)
		}
		_ = loop.Post(m.Close)
	}
	looptest.Run(t, loop)
}
