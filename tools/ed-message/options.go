package main

import (
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

const usage = `Usage: ed-message [options] [FILE...]

Convert messages, one a line, between text and JSON. Without FILE, or where
FILE is -, read the standard input.

`

// options is the command line.
type options struct {
	from      message.Form
	to        message.Form // message.FormAuto: the other form of each
	lenient   bool
	numbers   bool
	check     bool
	keepGoing bool
	files     []string // at least one

	help, version bool
	usage         string
}

// parseOptions reads the command line.
func parseOptions(args []string) (options, error) {
	var o options
	var from, to string
	flags := pflag.NewFlagSet("ed-message", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = false
	flags.StringVar(&from, "from", "auto", "read messages of this form, `auto|text|json`;\nauto: JSON where a line begins with a brace")
	flags.StringVar(&to, "to", "", "write this form, `text|json` (default the other one of each)")
	flags.BoolVar(&o.lenient, "lenient", false, "accept the names that the C++ library accepts")
	flags.BoolVar(&o.numbers, "numbers", false, "write numbers, true and false without quotes in JSON")
	flags.BoolVar(&o.check, "check", false, "write no messages, only report bad lines")
	flags.BoolVar(&o.keepGoing, "keep-going", false, "go on after a bad line, writing an empty one for it,\nand after a file that can't be read")
	flags.BoolVarP(&o.help, "help", "h", false, "print this and exit")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")

	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.usage = usage + flags.FlagUsages()
	if o.help || o.version {
		return o, nil
	}

	forms := map[string]message.Form{
		"auto": message.FormAuto,
		"text": message.FormText,
		"json": message.FormJSON,
	}
	var known bool
	if o.from, known = forms[from]; !known {
		return options{}, fmt.Errorf("--from: %q is none of auto, text and json", from)
	}
	if o.to, known = forms[to]; flags.Changed("to") && (!known || o.to == message.FormAuto) {
		return options{}, fmt.Errorf("--to: %q is neither text nor json", to)
	}
	if o.files = flags.Args(); len(o.files) == 0 {
		o.files = []string{stdinFile}
	}
	return o, nil
}
