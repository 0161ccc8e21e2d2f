// Command ed-message converts messages between their two forms, text and JSON, and checks them: logs, recordings
// and test data, in files or in a pipeline.
//
//	ed-message [options] [FILE...]
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
// The manual page is doc/man/ed-message.1. The C++ library has no such tool.
//
// To read and write messages in a Go program use package message.
package main

import (
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

func main() { os.Exit(run(cli.System())) }

// run is the whole program. It returns the exit status.
func run(env cli.Env) int {
	tool := cli.New(cli.Config{Name: "ed-message", Help: help, Placed: placed}, env)
	read := addOptions(tool)
	return tool.Run(func(files []string) error {
		o, err := read()
		if err != nil {
			return err
		}
		if len(files) == 0 {
			files = []string{stdinFile}
		}
		return newConverter(o, tool).convert(files)
	})
}
