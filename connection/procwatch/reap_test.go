//go:build linux

package procwatch_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestBeforeReap: at the call the child has ended and can still be waited for; for one that can't there is none.
func TestBeforeReap(t *testing.T) {
	for _, reaped := range []bool{false, true} {
		loop, _ := looptest.New(t)
		p := shell(t, "exit 5")
		var got []procwatch.Event
		calls := 0
		child(t, loop, p, keep(&got), procwatch.Options{Stops: true, BeforeReap: func() {
			calls++
			var info unix.Siginfo
			err := unix.Waitid(unix.P_PID, p.Pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
			if err != nil || info.Signo != int32(unix.SIGCHLD) || len(got) > 0 {
				t.Errorf("waitid: %v, signal %d; told: %v", err, info.Signo, got)
			}
		}})
		want := procwatch.Exited
		if reaped {
			want = procwatch.Gone
			if _, err := p.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		looptest.Run(t, loop)
		if (calls == 0) != reaped || calls > 1 || len(got) != 1 || got[0].Kind != want {
			t.Errorf("waited for elsewhere: %v; %d calls, told %v", reaped, calls, got)
		}
		waited(t, p)
	}
}

// TestWant: what the descriptor is watched for is not the user's to say.
func TestWant(t *testing.T) {
	loop, _ := looptest.New(t)
	o := procwatch.Options{}
	o.Want = communicator.Write
	p, in := sleeper(t)
	var got []procwatch.Event
	child(t, loop, p, keep(&got), o)
	if _, err := procwatch.PID(loop, p.Pid, keep(&got), o); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	looptest.Run(t, loop)
	if len(got) != 2 {
		t.Errorf("told %v", got)
	}
}
