//go:build linux

package command_test

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestLastWords: what a command writes while the loop is shut down is still read, and it does not get SIGPIPE.
func TestLastWords(t *testing.T) {
	fdtest.Check(t)
	loop, log := looptest.New(t)
	var ends exits
	words := ""
	out := lines(func(line string) error {
		if words += line + " "; line == "ready" {
			loop.Shutdown(looptest.Patience)
		}
		return nil
	})
	cmd := shell("sleep 100 >&- & trap 'kill $!; echo last; echo words; exit 5' TERM; echo ready; wait")
	start(t, loop, cmd, command.Config{Stdout: out, Exit: ends.exit})
	looptest.Run(t, loop)
	ends.expect(t, procwatch.Exited, 5, 0)
	if words != "ready last words " || len(log.Records()) > 0 {
		t.Errorf("it wrote %q; logged: %q", words, log.Records())
	}
}
