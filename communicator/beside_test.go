//go:build linux

package communicator_test

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestBeside: two sources that are one are enabled together and have one priority, until one of them leaves.
func TestBeside(t *testing.T) {
	loop := newLoop(t, communicator.Config{})
	first := add(t, loop, &probe{file: signalled(t), read: ignore}, communicator.Options{Priority: 7, Disabled: true})
	second := add(t, loop, &probe{file: signalled(t), read: ignore}, communicator.Options{Beside: first})
	check := func(enabled bool, priority int) {
		t.Helper()
		if second.Enabled() != enabled || second.Priority() != priority {
			t.Errorf("the second is enabled: %v, with priority %d; want %v, %d", second.Enabled(), second.Priority(), enabled, priority)
		}
	}
	check(false, 7)
	first.SetEnabled(true)
	first.SetPriority(-3)
	check(true, -3)
	first.SetEnabled(false)
	check(false, -3)

	third := add(t, loop, &probe{file: signalled(t), read: ignore}, communicator.Options{Beside: first})
	first.SetEnabled(true)
	check(false, -3) // the third has its place
	if !third.Enabled() {
		t.Error("the third is not enabled")
	}
	first.Remove(nil)
	first.SetPriority(1)
	if third.Priority() != -3 || !third.Active() {
		t.Error("the third has gone along")
	}
	alone := add(t, loop, &probe{file: signalled(t), read: ignore}, communicator.Options{Beside: first})
	if !alone.Enabled() || alone.Priority() != 0 {
		t.Error("beside one that has gone a source is not as it was added")
	}
	for _, h := range []*communicator.Handle{second, third, alone} {
		h.Remove(nil)
	}
	run(t, loop)
}
