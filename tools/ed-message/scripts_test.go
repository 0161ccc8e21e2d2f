package main

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

// TestScripts plays the scripts with the real program, and checks its manners.
func TestScripts(t *testing.T) {
	bin := tooltest.Build(t, "tools/ed-message")
	t.Run("manners", func(t *testing.T) { tooltest.Manners(t, bin, "ed-message", cli.StatusUsage) })
	tooltest.Scripts(t, bin, tooltest.Params{})
}
