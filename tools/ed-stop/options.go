//go:build linux

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const (
	defaultTimeout = time.Minute
	minWait        = 100 * time.Millisecond
	maxWait        = time.Hour
)

// recordedError is a text as the tool of the C++ library has it, kept to the letter because scripts look for it.
type recordedError string

func (e recordedError) Error() string { return string(e) }

// options is the command line.
type options struct {
	services    []string
	timeout     time.Duration
	processName bool
	signals     string
	kill        bool
	message     string
	secretFile  string
	dryRun      bool
}

func newTool(env cli.Env) (*cli.Tool, *options) {
	tool := cli.New(cli.Config{Name: "ed-stop", Help: help, Variable: "ED_STOP", UsageStatus: cli.StatusBad}, env)
	o := &options{timeout: defaultTimeout}
	f := tool.Flags
	f.StringArrayVarP(&o.services, "service", "s", nil, "the unit or process to stop, `NAME|PID`")
	f.VarP(cli.Seconds(&o.timeout), "timeout", "t", "how long to wait after SIGINT, a `TIME`")
	f.BoolVarP(&o.processName, "process-name", "p", false, "search the processes when no unit runs")
	f.Var(word{&o.signals, f}, "signal", "the signals to send, a `LIST` such as TERM:5,QUIT:2")
	f.BoolVarP(&o.kill, "kill", "k", false, "send SIGKILL at the end")
	f.VarP(word{&o.message, f}, "message", "M", "first send STOP to `ADDR`")
	f.Var(word{&o.secretFile, f}, "secret-file", "the `FILE` with the secret of a datagram")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "print what would be stopped")

	units := cli.Completion{Command: `systemctl list-units --type=service --state=running --plain --no-legend --no-pager 2>/dev/null | cut -d" " -f1`}
	tool.Complete("service", units)
	tool.Complete("", units)
	tool.Complete("signal", cli.Completion{Words: signalNames()})
	tool.Complete("message", cli.Completion{Words: []string{"udp:", "tcp:", "unix:", "unixgram:", "shm:"}})
	tool.Complete("secret-file", cli.Completion{Files: true})
	return tool, o
}

// word is the value of an option that must have one: neither the next option, in front of which it was left out, nor
// nothing, as a shell makes of a variable that isn't set.
type word struct {
	text  *string
	flags *pflag.FlagSet
}

func (w word) Set(text string) error {
	switch {
	case text == "":
		return errors.New("it is empty")
	case isOption(w.flags, text):
		return errors.New("its value is missing, and this is an option")
	}
	*w.text = text
	return nil
}

func (w word) String() string {
	if w.text == nil {
		return ""
	}
	return *w.text
}

// Type is a method of pflag.Value.
func (w word) Type() string { return "string" }

// emptyService returns the arguments, with an empty one behind a --service that is the last: systemd makes no word at
// all of $MAINPID when there is no main process any more.
func emptyService(env cli.Env) []string {
	tool, _ := newTool(env)
	missing := (*pflag.ValueRequiredError)(nil)
	if err := tool.Flags.Parse(env.Args); errors.As(err, &missing) && missing.GetFlag().Name == "service" {
		return append(slices.Clip(env.Args), "")
	}
	return env.Args
}

// plan is what a command line asks for.
type plan struct {
	services     []service
	steps        []step
	request      *request // nil: no message is sent
	processNames bool
	dryRun       bool
}

// plan checks the command line.
func (o *options) plan(tool *cli.Tool, args []string) (*plan, error) {
	p := &plan{processNames: o.processName, dryRun: o.dryRun}
	for _, value := range o.services {
		if isOption(tool.Flags, value) {
			return nil, cli.Usagef("--service has no value in front of %s: put it at the end, or write --service=VALUE", value)
		}
	}
	for _, name := range args { // behind --
		if isWhole(tool.Flags, name) {
			return nil, cli.Usagef("%s is an option, and not taken for a NAME", name)
		}
	}
	names := append(o.services, args...)
	if len(names) == 0 {
		return nil, recordedError("error: --service parameter is mandatory.")
	}
	for _, name := range names {
		s, err := parseService(name)
		if err != nil {
			return nil, err
		}
		p.services = append(p.services, s)
	}
	var err error
	if p.steps, err = o.steps(); err != nil {
		return nil, err
	}
	switch flags := tool.Flags; {
	case !flags.Changed("message") && flags.Changed("secret-file"):
		return nil, cli.Usagef("--secret-file is of no use without --message")
	case !flags.Changed("message"):
		return p, nil
	case len(p.services) > 1:
		return nil, cli.Usagef("--message is for one service, and there are %d", len(p.services))
	}
	p.request, err = o.request(tool)
	return p, err
}

// isOption tells whether the value of an option is likely to be the next option, because the value was left out.
func isOption(flags *pflag.FlagSet, value string) bool {
	if name, long := strings.CutPrefix(value, "--"); long {
		name, _, _ = strings.Cut(name, "=")
		return name == "" || flags.Lookup(name) != nil
	}
	return len(value) > 1 && value[0] == '-' && flags.ShorthandLookup(value[1:2]) != nil
}

// isWhole tells whether a text is just an option, long or short.
func isWhole(flags *pflag.FlagSet, text string) bool {
	return isOption(flags, text) && !strings.Contains(text, "=") && (strings.HasPrefix(text, "--") || len(text) == 2)
}

// steps returns what is done to the process, one step after the other until it is gone.
func (o *options) steps() (steps []step, err error) {
	if err := checkWait(o.timeout); err != nil {
		return nil, cli.Usagef("--timeout: %w", err)
	}
	if o.message != "" {
		steps = append(steps, step{signal: askFirst, wait: o.timeout})
	}
	if o.signals == "" {
		steps = append(steps, step{sigint, o.timeout}, step{sigterm, lastWait})
	} else {
		sequence, err := parseSequence(o.signals, o.timeout)
		if err != nil {
			return nil, cli.Usagef("--signal: %w", err)
		}
		steps = append(steps, sequence...)
	}
	if o.kill {
		steps = append(steps, step{sigkill, lastWait})
	}
	return steps, nil
}

func checkWait(d time.Duration) error {
	if d < minWait || d > maxWait {
		return fmt.Errorf("%v is not a time from %v to 1h", d, minWait)
	}
	return nil
}
