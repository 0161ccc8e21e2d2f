package fdtest

import (
	"runtime"
	"strings"
)

// forever are the functions of goroutines that the standard library starts
// once and never ends; each is matched against the stack.
var forever = []string{
	"os/signal.loop(", // from the first signal.Notify on
}

// goroutines returns the stack of each goroutine but the caller's, by its
// header without the state, "goroutine 17". Numbers are never used again, so
// one that is missing before and there after was started in between. The
// runtime leaves its own goroutines out by itself.
func goroutines() map[string]string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf)) // a full buffer means it was cut short
	}

	stacks := strings.Split(strings.TrimSpace(string(buf)), "\n\n")
	byID := make(map[string]string, len(stacks))
	for _, stack := range stacks[1:] { // the first is the caller
		id, _, _ := strings.Cut(stack, " [")
		byID[id] = stack
	}
	return byID
}

// newGoroutines lists the stacks of the goroutines that run now and didn't
// before, without those that are meant to stay.
func newGoroutines(before map[string]string) []string {
	var leaks []string
	for id, stack := range goroutines() {
		if _, ok := before[id]; !ok && !staysForever(stack) {
			leaks = append(leaks, stack)
		}
	}
	return leaks
}

func staysForever(stack string) bool {
	for _, f := range forever {
		if strings.Contains(stack, "\n"+f) {
			return true
		}
	}
	return false
}
