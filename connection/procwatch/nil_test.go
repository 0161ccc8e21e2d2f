//go:build linux

package procwatch_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestNil: what was forgotten is said to be, where it was.
func TestNil(t *testing.T) {
	loop, _ := looptest.New(t)
	p, _ := sleeper(t)
	for _, tt := range []struct {
		f    func()
		want string
	}{
		{func() { _, _ = procwatch.Child(loop, exec.Command("true").Process, nothing, procwatch.Options{}) }, "nil process"},
		{func() { _, _ = procwatch.Child(loop, p, nil, procwatch.Options{}) }, "nil function"},
		{func() { _, _ = procwatch.PID(loop, p.Pid, nil, procwatch.Options{}) }, "nil function"},
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "procwatch: "+tt.want) {
					t.Errorf("panic %q, want %q", got, tt.want)
				}
			}()
			tt.f()
		}()
	}
	if n := len(loop.Sources()); n > 0 {
		t.Errorf("%d sources are in the loop", n)
	}
}
