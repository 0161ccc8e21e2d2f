package main

import (
	"io"

	"github.com/spf13/pflag"
)

// defaultPath is where the C++ library installs its definitions.
const defaultPath = "/usr/share/eventdispatcher/messages"

const usage = `Usage: verify-message-definitions [options] NAME...|FILE.conf...

Say what is wrong with the definitions of messages: of the commands NAME, looked
for in the folders of PATH, and in files, which end in .conf or have a slash.

`

// options is the command line.
type options struct {
	path    string
	verbose bool
	names   []string // commands and files

	help, version bool
	usage         string
}

// parseOptions reads the command line.
func parseOptions(args []string) (options, error) {
	var o options
	flags := pflag.NewFlagSet(program, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	flags.StringVarP(&o.path, "path-to-message-definitions", "p", defaultPath,
		"look for commands in `PATH`, folders\nseparated by colons")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "print each command before its definition is read")
	_ = flags.BoolP("c", "c", false, "")
	_ = flags.MarkHidden("c") // the C++ tool has it; here everything is checked anyway
	flags.BoolVarP(&o.help, "help", "h", false, "print this and exit")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")

	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.names = flags.Args()
	o.usage = usage + flags.FlagUsages()
	return o, nil
}
