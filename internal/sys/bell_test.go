//go:build linux

package sys_test

import (
	"errors"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

func TestBell(t *testing.T) {
	fdtest.Check(t)
	bell, err := sys.NewBell()
	if err != nil {
		t.Fatal(err)
	}
	// count is how often the descriptor was signalled; reading it takes the count back.
	count := func() (n byte) {
		var buf [8]byte
		if _, err := sys.Read(bell.FD(), buf[:]); err != nil && !errors.Is(err, sys.ErrWouldBlock) {
			t.Fatal(err)
		}
		return buf[0] + buf[7] // in either order of bytes
	}
	bell.Ring()
	bell.Ring()
	if n := count(); n != 1 {
		t.Errorf("rung twice, signalled %d times", n)
	}
	if err := bell.Answer(); err != nil { // nothing is there any more
		t.Error(err)
	}
	bell.Ring()
	if n := count(); n != 0 {
		t.Errorf("signalled %d times while the loop knew", n)
	}
	bell.Quiet()
	bell.Ring()
	if err := bell.Answer(); err != nil {
		t.Error(err)
	}
	if n := count(); n != 0 {
		t.Errorf("%d signals are left after the answer", n)
	}
	bell.Quiet()
	bell.Ring()
	if n := count(); n != 1 {
		t.Errorf("signalled %d times after Quiet", n)
	}
	bell.Quiet()
	if err := errors.Join(bell.Close(), bell.Close()); err != nil {
		t.Error(err)
	}
	bell.Ring() // the number of the descriptor may be somebody else's now
}
