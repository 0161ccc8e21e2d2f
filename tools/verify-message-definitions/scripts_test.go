package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

// TestProgram plays the scripts with the real program, and checks its manners.
func TestProgram(t *testing.T) {
	bin := tooltest.Build(t, "tools/verify-message-definitions")
	messages, err := filepath.Abs("../../message/definition/messages")
	if err != nil {
		t.Fatal(err)
	}
	aliveStatus, aliveStderr := "1", `^verify-message-definitions: no ALIVE\.conf in "/usr/share/eventdispatcher/messages": file does not exist\n$`
	if _, err := os.Stat(filepath.Join(defaultPath, "ALIVE.conf")); err == nil {
		aliveStatus, aliveStderr = "0", "^$" // the C++ library is installed
	}
	t.Run("manners", func(t *testing.T) { tooltest.Manners(t, bin, program, cli.StatusUsage) })
	tooltest.Scripts(t, bin, tooltest.Params{Setup: func(env *testscript.Env) error {
		env.Setenv("MESSAGES", messages)
		env.Setenv("ALIVE_STATUS", aliveStatus)
		env.Setenv("ALIVE_STDERR", aliveStderr)
		return nil
	}})
}
