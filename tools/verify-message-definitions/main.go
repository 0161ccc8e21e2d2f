// Command verify-message-definitions says what is wrong with the files that define the parameters of messages, before
// the service that loads them does.
//
//	verify-message-definitions [-v] [-p PATH] NAME...|FILE.conf...
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
// It doesn't check messages: a service does, with definition.Load and the Definitions of its dispatcher. A program or
// a test that has to check files calls definition.ReadFile itself.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

const (
	program   = "verify-message-definitions"
	extension = ".conf"
)

// The exit statuses.
const (
	statusGood  = 0
	statusBad   = 1
	statusUsage = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program. It returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v; see %s --help\n", program, err, program)
		return statusUsage
	}
	switch {
	case o.help:
		_, err = io.WriteString(stdout, o.usage)
	case o.version:
		_, err = fmt.Fprintln(stdout, version())
	case len(o.names) == 0:
		_, _ = fmt.Fprintf(stderr, "%s: error: at least one message name needs to be specified.\n", program)
		return statusBad
	default:
		return verify(o, stdout, stderr)
	}
	if err != nil {
		report(stderr, err)
		return statusBad
	}
	return statusGood
}

// verify checks all definitions, whatever is wrong with the ones before.
func verify(o options, stdout, stderr io.Writer) (status int) {
	for _, name := range o.names {
		if o.verbose {
			command := strings.TrimSuffix(filepath.Base(name), extension)
			if _, err := fmt.Fprintf(stdout, "--- command: %s ---\n", command); err != nil {
				report(stderr, err)
				status = statusBad
			}
		}
		d, err := read(o.path, name)
		if err != nil {
			report(stderr, err)
			status = statusBad
			continue
		}
		for _, key := range d.Ignored {
			report(stderr, key)
			status = statusBad
		}
	}
	return status
}

// read reads the definition of an argument.
func read(path, name string) (*definition.Definition, error) {
	if !strings.HasSuffix(name, extension) && !strings.ContainsRune(name, '/') {
		file, err := definition.Find(path, name)
		if err != nil {
			return nil, err
		}
		name = file
	}
	return definition.ReadFile(name)
}

// report prints an error, and each of joined ones, in a line of its own.
func report(stderr io.Writer, err error) {
	all := []error{err}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		all = joined.Unwrap()
	}
	for _, err := range all {
		line := err.Error()
		if file := (*definition.FileError)(nil); !errors.As(err, &file) {
			line = program + ": " + strings.TrimPrefix(line, "definition: ")
		}
		_, _ = fmt.Fprintln(stderr, line)
	}
}

// version returns the version of the module this program was built from, "(devel)" outside of one.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
