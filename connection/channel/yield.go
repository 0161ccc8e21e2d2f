//go:build linux

package channel

import (
	"runtime"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// yield lets goroutines run that the loop has woken, before it sleeps: a loop that blocks in the kernel keeps
// its processor for some 70 µs. That makes a question and its answer four times as fast.
type yield struct {
	planned bool
	now     func()
}

// after plans it for the end of the turn, once for any number of calls.
func (y *yield) after(loop *communicator.Communicator) {
	if y.planned {
		return
	}
	if y.now == nil {
		y.now = func() {
			y.planned = false
			runtime.Gosched()
		}
	}
	y.planned = true
	loop.AfterTurn(y.now)
}
