//go:build linux

package communicator_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// TestEssential: the failure of an essential source ends the loop, its orderly end doesn't, nor does that of others.
func TestEssential(t *testing.T) {
	for _, test := range []struct {
		name           string
		essential      bool
		cause          error
		ends, survives bool
	}{
		{"fails", true, errTest, true, false},
		{"removed", true, nil, false, true},
		{"another fails", false, errTest, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			loop := newLoop(t, communicator.Config{})
			other := &probe{t: t, name: "other"}
			otherHandle := add(t, loop, other, communicator.Options{})
			p := &probe{t: t, name: "p", read: func(h *communicator.Handle) error {
				if test.cause == nil {
					h.Remove(nil)
				}
				return test.cause
			}}
			add(t, loop, p, communicator.Options{Name: "heart", Essential: test.essential}).MarkReadable()
			survived := false
			if !test.ends {
				afterTurns(t, loop, 3, func() {
					survived = otherHandle.Active()
					otherHandle.Remove(nil)
				})
			}
			err := runError(t, loop)
			if test.ends != errors.Is(err, errTest) || test.ends != (err != nil && strings.Contains(err.Error(), "heart")) {
				t.Errorf("Run answers %v", err)
			}
			if survived != test.survives || p.closes != 1 || other.closes != 1 {
				t.Errorf("the other one survived: %v, closes %d and %d", survived, p.closes, other.closes)
			}
		})
	}
}

// TestNotMade: a loop that New hasn't made is of no use, and says so.
func TestNotMade(t *testing.T) {
	for name, use := range map[string]func(c *communicator.Communicator){
		"Run": func(c *communicator.Communicator) { _ = c.Run(t.Context()) },
		"Add": func(c *communicator.Communicator) { _, _ = c.Add(&probe{t: t}, communicator.Options{}) },
	} {
		func() {
			defer func() {
				if said, _ := recover().(string); !strings.Contains(said, "New") {
					t.Errorf("%s of a zero Communicator panics with %q", name, said)
				}
			}()
			use(&communicator.Communicator{})
		}()
	}
}
