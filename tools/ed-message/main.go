// Command ed-message converts messages between their two forms, text and JSON, and checks them: logs, recordings
// and test data, in files or in a pipeline.
//
//	ed-message [--from auto|text|json] [--to text|json] [--lenient] [--numbers] [--check] [--keep-going] [FILE...]
//
// It reads messages, one a line, from the files one after the other, from the standard input where a FILE is -
// or when there is none, and writes each as one line to the standard output:
//
//	printf 'PING a=1\n' | ed-message                 # {"command":"PING","parameters":{"a":"1"}}
//	ed-message --to text messages.jsonl              # all as text, also those that are text already
//	ed-message --check --keep-going messages.txt     # which lines are no messages?
//	tail -f messages.txt | ed-message | jq .command  # each as soon as its line is there
//
// # Lines
//
// A line ends in LF or CR LF, the last one with the input. A line whose first character is a brace is JSON, any other is
// text, unless --from says what they are. Without --to each message is written in the other form than it came
// in; with --to in that form, in the spelling of package message: parameters in the order of their names, and
// quotes only where they are needed. JSON that goes on over several lines, as printed for people, is not read:
// jq -c puts it in one.
//
// Lines of white space only are no messages, and no errors either: they are written as empty lines, so that line
// N of the output is line N of the input.
//
// What package message does not write is lost: a server without a service, of several parameters of one name all
// but the last, and the keys of JSON that the protocol does not know.
//
// JSON is written with all parameters as strings, which everything reads back as they are. With --numbers those
// that look like JSON's numbers, true and false stand without quotes, as the C++ library writes them. Characters
// are not escaped without need. A message may be longer than the limit in the other form, and is written
// nevertheless.
//
// With --lenient the names that the parser of the C++ library accepts are accepted here, such as commands in lower
// case. Some of them only one of the forms can hold.
//
// Messages are printed as they are, a secret_code included.
//
// # Errors
//
// A line is bad when it is no message, when it is longer than 1 MiB, or when the form to write can't hold it: a
// NUL byte in text, bytes that are not UTF-8 in JSON. The standard error says which and why, with bytes counted
// from 0:
//
//	<stdin>:3: command "ping" at byte 0: not a command: capital letters, digits and underscores, no digit first
//
// The first bad line, or the first file that can't be read, ends the program; what came before has been written.
// With --keep-going an empty line is written in the place of a bad one, and the rest is read.
//
// --check writes no messages. It finds the lines that are bad to read, and with --to those that can't be written
// in that form, too.
//
// The exit status is
//
//	0  when all lines were good
//	1  when a line was bad, a file couldn't be read, or the output couldn't be written
//	2  when the command line is wrong
//
// To read and write messages in a Go program use package message.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	// A reader that went away is an error of the write, with a word on the standard error.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// The exit statuses.
const (
	statusGood  = 0
	statusBad   = 1
	statusUsage = 2
)

// run is the whole program. It returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseOptions(args)
	switch {
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "ed-message: %v; see ed-message --help\n", err)
		return statusUsage
	case o.help:
		_, err = io.WriteString(stdout, o.usage)
	case o.version:
		_, err = fmt.Fprintln(stdout, version())
	default:
		if newConverter(o, stdin, stdout, stderr).convert(o.files) {
			return statusGood
		}
		return statusBad
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "ed-message: %v\n", writeError(err))
		return statusBad
	}
	return statusGood
}

// version returns the version of the module this program was built from, "(devel)" outside of one.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
