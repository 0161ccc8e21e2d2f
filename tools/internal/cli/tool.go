package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"
)

// Env is what a tool gets from outside, and where it writes to.
type Env struct {
	Args           []string // without the program's name
	Getenv         func(name string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// System is the Env of the process. From then on a reader that goes away is an error of the write that it misses, with a
// line on the standard error, and doesn't kill the process by SIGPIPE without a word.
func System() Env {
	signal.Ignore(syscall.SIGPIPE)
	return Env{Args: os.Args[1:], Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
}

// Config describes a tool.
type Config struct {
	Name string
	// Help is what --help prints, written by hand so that it fits a screen.
	Help string
	// Variable is the environment variable with options that come before those of the command line; Words splits it.
	// It has options only: plain arguments and -- are errors. What is wrong with it is told with its name, but --help,
	// --version and --completion on the command line work nevertheless. Empty: there is none.
	Variable string
	// UsageStatus is the exit status when the command line is wrong. 0: StatusUsage. The tools whose recorded model
	// exits with 1 for whatever goes wrong have StatusBad.
	UsageStatus int
	// Placed tells errors whose text begins with a place, file:line: why. They are printed without the tool's name in
	// front, so that editors know how to jump there. nil: there are none.
	Placed func(err error) bool
}

// Tool is a program with a command line.
type Tool struct {
	Env
	// Flags are the tool's options. New has put those in that all tools have; the tool adds its own before Run.
	Flags *pflag.FlagSet
	// Log is for what the tool does, not for what went wrong: that is the error that Run is given. It writes to the
	// standard error, or to --log-file, what --log-level lets through; by default warnings and worse. An error's line is
	// in the file too.
	Log *logrus.Logger

	config      Config
	status      int                   // so far
	logFile     *os.File              // nil as long as logs go to the standard error
	logs        *logWriter            // what Log writes to
	completions map[string]Completion // by the option's name; "" for the arguments
	options     struct {
		help, version                 bool
		completion, logLevel, logFile string
	}
}

// New makes a tool.
func New(config Config, env Env) *Tool {
	if config.UsageStatus == 0 {
		config.UsageStatus = StatusUsage
	}
	t := &Tool{Env: env, config: config, Log: logrus.New(), completions: map[string]Completion{}}
	t.logTo(env.Stderr)
	t.Log.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})

	t.Flags = pflag.NewFlagSet(config.Name, pflag.ContinueOnError)
	t.Flags.SetOutput(io.Discard)
	t.Flags.SortFlags = false
	o := &t.options
	t.Flags.BoolVarP(&o.help, "help", "h", false, "print this and exit")
	t.Flags.BoolVarP(&o.version, "version", "V", false, "print the version and exit")
	t.Flags.StringVar(&o.completion, "completion", "", "print the completion for a `SHELL`, bash or zsh, and exit")
	t.Flags.StringVar(&o.logLevel, "log-level", "warning", "log what is of this `LEVEL` or worse")
	t.Flags.StringVar(&o.logFile, "log-file", "", "append logs and errors to a `FILE`")
	t.Complete("completion", Completion{Words: shells()})
	t.Complete("log-level", Completion{Words: levels()})
	t.Complete("log-file", Completion{Files: true})
	return t
}

// levels are the names that --log-level takes.
func levels() (names []string) {
	for _, level := range logrus.AllLevels {
		names = append(names, level.String())
	}
	return names
}

// Run is the whole program: it reads the command line, and calls f with the plain arguments, unless something like
// --help was asked for. It prints f's error and returns the exit status. A Tool runs once.
func (t *Tool) Run(f func(args []string) error) (status int) {
	t.Report(t.run(f))
	t.closeLog()
	return t.status
}

// Report prints an error at once, as Run does with the one that f returns: for a tool that goes on after errors. The
// exit status isn't StatusGood then, whatever f returns; ErrFailed is right when there is nothing to add. It is for one
// goroutine at a time.
//
// What errors.Join has put together is a line for each. nil is no error.
func (t *Tool) Report(err error) {
	switch {
	case err == nil:
		return
	case isUsage(err):
		t.status = t.config.UsageStatus
	case t.status == StatusGood:
		t.status = StatusBad
	}
	for _, err := range separate(err) {
		text := err.Error()
		if isUsage(err) {
			text += "; see " + t.config.Name + " --help"
		}
		text = Printable(text)
		if t.logFile != nil {
			t.Log.Error(text)
		}
		if t.config.Placed == nil || !t.config.Placed(err) {
			text = t.config.Name + ": " + text
		}
		_, _ = fmt.Fprintln(t.Stderr, text) // there is no other place to tell
	}
}

// Tell prints a line, tool: text, on the standard error: what its user should know although it is no failure.
func (t *Tool) Tell(text string) {
	_, _ = fmt.Fprintln(t.Stderr, t.config.Name+": "+Printable(text))
}

func (t *Tool) run(f func(args []string) error) error {
	if err := t.parse(); err != nil {
		return err
	}
	switch o := t.options; {
	case o.help:
		_, err := io.WriteString(t.Stdout, t.config.Help)
		return err
	case o.version:
		_, err := fmt.Fprintln(t.Stdout, version())
		return err
	case t.Flags.Changed("completion"):
		script, err := t.script(o.completion)
		if err != nil {
			return err
		}
		_, err = io.WriteString(t.Stdout, script)
		return err
	}
	if err := t.openLog(); err != nil {
		return err
	}
	return f(t.Flags.Args())
}

// parse reads the options of the environment and then those of the command line.
func (t *Tool) parse() error {
	broken := t.parseVariable()
	if err := t.Flags.Parse(t.Args); err != nil {
		return cmp.Or(broken, Usagef("%w", plainValue(err)))
	}
	if t.options.help || t.options.version || t.Flags.Changed("completion") {
		return nil // whatever else is wrong: help is what the user needs then
	}
	if err := cmp.Or(broken, t.checkLog()); err != nil {
		return Usagef("%w", err)
	}
	return nil
}

// parseVariable reads the options of the environment.
func (t *Tool) parseVariable() error {
	name := t.config.Variable
	if name == "" {
		return nil
	}
	words, err := Words(t.Getenv(name))
	if err == nil {
		err = plainValue(t.Flags.Parse(words))
	}
	switch {
	case err != nil:
	case t.Flags.ArgsLenAtDash() >= 0:
		err = errors.New("only options can stand there, not --")
	case t.Flags.NArg() > 0:
		err = fmt.Errorf("only options can stand there, not %q", t.Flags.Arg(0))
	default:
		err = t.checkLog()
	}
	if err != nil {
		return Usagef("%s: %w", name, err)
	}
	return nil
}

// checkLog checks the options of logs, and sets the level.
func (t *Tool) checkLog() error {
	level, err := logrus.ParseLevel(t.options.logLevel)
	if err != nil {
		return fmt.Errorf("--log-level: %q is none of %s", t.options.logLevel, strings.Join(levels(), ", "))
	}
	if t.Flags.Changed("log-file") && t.options.logFile == "" {
		return errors.New("--log-file: the name is empty")
	}
	if file := t.options.logFile; strings.HasPrefix(file, "-") {
		return fmt.Errorf("--log-file: %q looks like an option: is the FILE missing? It can be ./%s", file, file)
	}
	t.Log.SetLevel(level)
	return nil
}

// logWriter writes logs. It keeps its error, the first one, for closeLog: logrus would print it for each line, in words
// of its own.
type logWriter struct {
	to  io.Writer
	err error
}

// Write is a method of io.Writer.
func (w *logWriter) Write(p []byte) (int, error) {
	if _, err := w.to.Write(p); err != nil && w.err == nil {
		w.err = err
	}
	return len(p), nil
}

func (t *Tool) logTo(w io.Writer) {
	t.logs = &logWriter{to: w}
	t.Log.SetOutput(t.logs)
}

func (t *Tool) openLog() error {
	if t.options.logFile == "" {
		return nil
	}
	// A FIFO that nobody reads is an error, nothing to wait for.
	const flags = os.O_WRONLY | os.O_APPEND | os.O_CREATE | syscall.O_NONBLOCK
	file, err := os.OpenFile(t.options.logFile, flags, 0o640)
	if err != nil {
		return fmt.Errorf("--log-file: %w", err)
	}
	t.logFile = file
	t.logTo(file)
	return nil
}

// closeLog closes the file of logs, and reports what couldn't be written to it. What a goroutine of the tool still logs
// goes to the standard error.
func (t *Tool) closeLog() {
	if t.logFile == nil {
		return
	}
	file, logs := t.logFile, t.logs
	t.logFile = nil
	t.logTo(t.Stderr) // from here on nobody writes to logs
	if err := cmp.Or(logs.err, file.Close()); err != nil {
		t.Report(fmt.Errorf("--log-file: %w", err))
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
