package main

import (
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const help = `Usage: ed-message [options] [FILE...]

Convert messages, one a line, between text and JSON. Without FILE, or where
FILE is -, read the standard input.

  -f, --from FORM   auto, text or json; auto: JSON where a line begins with {
  -t, --to FORM     text or json; without, each is written in the other form
  -l, --lenient     accept the names that the C++ library accepts
  -n, --numbers     write numbers, true and false without quotes in JSON
  -c, --check       write no messages, only report bad lines
  -k, --keep-going  go on after a bad line, writing an empty one for it, and
                    after a file that can't be read
  -h, --help; -V, --version
  --log-level LEVEL, --log-file FILE, --completion SHELL

Bad lines are told as FILE:LINE: why. The exit status is 0 when all lines are
good, 1 when one isn't or a file fails, and 2 when the command line is wrong.

Examples:
  printf 'PING a=1\n' | ed-message      # {"command":"PING",...
  ed-message --check --keep-going messages.txt
  tail -f messages.txt | ed-message --to json | jq .command
`

// options is the command line.
type options struct {
	from      message.Form
	to        message.Form // message.FormAuto: the other form of each
	lenient   bool
	numbers   bool
	check     bool
	keepGoing bool
}

// addOptions adds the tool's own options. What it returns reads them, when the command line is parsed.
func addOptions(tool *cli.Tool) (read func() (options, error)) {
	var o options
	flags := tool.Flags
	from := flags.StringP("from", "f", "auto", "read messages of this `FORM`: auto, text or json")
	to := flags.StringP("to", "t", "", "write this `FORM`, text or json, not the other one of each")
	flags.BoolVarP(&o.lenient, "lenient", "l", false, "accept the names that the C++ library accepts")
	flags.BoolVarP(&o.numbers, "numbers", "n", false, "write numbers, true and false without quotes in JSON")
	flags.BoolVarP(&o.check, "check", "c", false, "write no messages, only report bad lines")
	flags.BoolVarP(&o.keepGoing, "keep-going", "k", false, "go on after a bad line and after a file that can't be read")
	tool.Complete("from", cli.Completion{Words: []string{"auto", "text", "json"}})
	tool.Complete("to", cli.Completion{Words: []string{"text", "json"}})
	tool.Complete("", cli.Completion{Files: true})
	return func() (options, error) {
		forms := map[string]message.Form{"auto": message.FormAuto, "text": message.FormText, "json": message.FormJSON}
		var known bool
		if o.from, known = forms[*from]; !known {
			return o, cli.Usagef("--from: %q is none of auto, text and json", *from)
		}
		if o.to, known = forms[*to]; flags.Changed("to") && (!known || o.to == message.FormAuto) {
			return o, cli.Usagef("--to: %q is neither text nor json", *to)
		}
		return o, nil
	}
}
