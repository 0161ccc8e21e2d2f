// Command verify-message-definitions says what is wrong with the files that define the parameters of messages, before
// the service that loads them does.
//
//	verify-message-definitions [options] NAME...|FILE.conf...
//
//	verify-message-definitions definitions/*.conf
//	verify-message-definitions --verbose --path-to-message-definitions definitions:/usr/share/demo/messages FETCH_USER ALIVE
//
// An argument that ends in .conf or has a slash in it is a file. Any other is a command, whose file is the first
// COMMAND.conf in the folders of --path-to-message-definitions, which are separated by colons; without the option, in
// /usr/share/eventdispatcher/messages. That a service would do without the file, as package definition has a few built
// in, does not count: what is named here has to be there. Package definition describes the files.
//
// All files are read, and all that is wrong is told at once, on the standard error, as file:line: problem, which
// editors know how to jump to:
//
//	definitions/FETCH_USER.conf:4: no such type: "int"
//	definitions/FETCH_USER.conf:5: no such flag: " empty"
//	definitions/FETCH_USER.conf:7: key "typ" is ignored
//	verify-message-definitions: stat definitions/USER.conf: no such file or directory
//
// A file that the C++ library eventdispatcher reads without a word may be wrong here: one with lines that it ignores. That
// includes keys that mean nothing, such as typ, which a service would put up with: they are mostly misspelt.
// Files without mistakes are passed over in silence; with --verbose the standard output has a line for each command
// before its file is read:
//
//	--- command: FETCH_USER ---
//
// In a Makefile or a job of a CI the first example is all that is needed: its failure stops the build, and so does a
// folder without definitions.
//
//	check:
//		verify-message-definitions definitions/*.conf
//
// The exit status is
//
//	0  when all definitions were right
//	1  when something was wrong, a file couldn't be read, or none was named
//	2  when an option is wrong
//
// The manual page, doc/man/verify-message-definitions.1, lists the options, and what differs from the tool of the same
// name of the C++ library.
//
// It doesn't check messages: a service does, with definition.Load and the Definitions of its dispatcher. A program or
// a test that has to check files calls definition.ReadFile itself.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const (
	program   = "verify-message-definitions"
	extension = ".conf"
)

// errNoName has the text and the exit status of the C++ tool.
var errNoName = errors.New("error: at least one message name needs to be specified.") //nolint:revive,staticcheck // recorded

func main() { os.Exit(run(cli.System())) }

// run is the whole program. It returns the exit status.
func run(env cli.Env) int {
	tool := cli.New(cli.Config{Name: program, Help: help, Variable: "VERIFY_MESSAGE_DEFINITIONS", Placed: placed}, env)
	o := addOptions(tool)
	return tool.Run(func(args []string) error {
		names := append(o.commands, args...)
		if len(names) == 0 {
			return errNoName
		}
		for _, name := range names {
			verify(tool, o, name)
		}
		return nil
	})
}

// verify checks a definition, and reports what is wrong.
func verify(tool *cli.Tool, o *options, name string) {
	if o.verbose {
		command := strings.TrimSuffix(filepath.Base(name), extension)
		if _, err := fmt.Fprintf(tool.Stdout, "--- command: %s ---\n", cli.Printable(command)); err != nil {
			tool.Report(err)
			o.verbose = false // once is enough; the definitions are read nevertheless
		}
	}
	if !strings.HasSuffix(name, extension) && !strings.ContainsRune(name, '/') {
		file, err := definition.Find(o.path, name)
		if err != nil {
			tool.Report(plain(err))
			return
		}
		name = file
	}
	tool.Log.WithField("file", name).Debug("reading a definition")
	d, err := definition.ReadFile(name)
	var all []*definition.FileError
	wrong := (*definition.ParseError)(nil)
	switch {
	case err == nil:
		all = d.Ignored
	case errors.As(err, &wrong):
		all = slices.Concat(wrong.Problems, wrong.Ignored)
	default:
		tool.Report(plain(err))
		return
	}
	slices.SortStableFunc(all, func(a, b *definition.FileError) int { return a.Line - b.Line })
	for _, problem := range all {
		tool.Report(problem)
	}
}

// placed tells errors that begin with the file and the line.
func placed(err error) bool {
	file := (*definition.FileError)(nil)
	return errors.As(err, &file)
}

// plain takes the names of packages off an error that has them in front: the name of the tool says it.
func plain(err error) error {
	if text, found := strings.CutPrefix(err.Error(), "definition: "); found {
		return errors.New(strings.TrimPrefix(text, "message: "))
	}
	return err
}
