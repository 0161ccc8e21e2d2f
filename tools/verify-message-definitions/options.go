package main

import "github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"

// defaultPath is where the C++ library installs its definitions.
const defaultPath = "/usr/share/eventdispatcher/messages"

const help = `Usage: verify-message-definitions [options] NAME...|FILE.conf...

Say what is wrong with the definitions of messages: of the commands NAME, looked
for in the folders of PATH, and in files, which end in .conf or have a slash.

  -p, --path-to-message-definitions PATH
                       folders separated by colons, by default
                       /usr/share/eventdispatcher/messages
  -c, --commands NAME  one more NAME or FILE.conf, as often as needed
  -v, --verbose        print each command before its definition is read
  -h, --help; -V, --version
  --log-level LEVEL, --log-file FILE, --completion SHELL

What is wrong is told as file:line: problem. The exit status is 0 when nothing
is, 1 when something is, and 2 when the command line is wrong.

Examples:
  verify-message-definitions definitions/*.conf
  verify-message-definitions -v -p definitions:/usr/share/demo/messages PING
`

// options is the command line.
type options struct {
	path     string
	commands []string // come before the plain arguments
	verbose  bool
}

// addOptions adds the tool's own options.
func addOptions(tool *cli.Tool) *options {
	o := &options{}
	tool.Flags.StringVarP(&o.path, "path-to-message-definitions", "p", defaultPath, "look for commands in `PATH`, folders separated by colons")
	tool.Flags.StringArrayVarP(&o.commands, "commands", "c", nil, "one more `NAME` or FILE.conf")
	tool.Flags.BoolVarP(&o.verbose, "verbose", "v", false, "print each command before its definition is read")
	tool.Complete("path-to-message-definitions", cli.Completion{Files: true})
	tool.Complete("commands", cli.Completion{Files: true})
	tool.Complete("", cli.Completion{Files: true})
	return o
}
