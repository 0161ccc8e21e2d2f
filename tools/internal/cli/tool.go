package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

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

// System is the Env of the process.
func System() Env {
	return Env{Args: os.Args[1:], Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
}

// Config describes a tool.
type Config struct {
	Name string
	// Help is what --help prints, written by hand so that it fits a screen.
	Help string
	// Variable is the environment variable with options that come before those of the command line; Words splits it.
	// Empty: there is none.
	Variable string
	// UsageStatus is the exit status when the command line is wrong. 0: StatusUsage. The tools whose recorded model
	// exits with 1 for whatever goes wrong have StatusBad.
	UsageStatus int
}

// Tool is a program with a command line.
type Tool struct {
	Env
	// Flags are the tool's options. New has put those in that all tools have; the tool adds its own before Run.
	Flags *pflag.FlagSet
	// Log is for what the tool does, not for what went wrong: that is the error that Run is given. It writes to the
	// standard error, or to --log-file, what --log-level lets through; by default warnings and worse.
	Log *logrus.Logger

	config      Config
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
	t.Log.SetOutput(env.Stderr)
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
// --help was asked for. It prints f's error and returns the exit status.
func (t *Tool) Run(f func(args []string) error) (status int) {
	err := t.run(f)
	for _, line := range lines(err) {
		_, _ = fmt.Fprintf(t.Stderr, "%s: %s\n", t.config.Name, line)
		if t.options.logFile != "" {
			t.Log.Error(line)
		}
	}
	usage := (*UsageError)(nil)
	switch {
	case err == nil:
		return StatusGood
	case errors.As(err, &usage):
		return t.config.UsageStatus
	}
	return StatusBad
}

func (t *Tool) run(f func(args []string) error) error {
	if err := t.parse(); err != nil {
		return t.seeHelp(err)
	}
	switch o := t.options; {
	case o.help:
		_, err := io.WriteString(t.Stdout, t.config.Help)
		return err
	case o.version:
		_, err := fmt.Fprintln(t.Stdout, version())
		return err
	case o.completion != "":
		script, err := t.script(o.completion)
		if err != nil {
			return t.seeHelp(err)
		}
		_, err = io.WriteString(t.Stdout, script)
		return err
	}
	file, err := t.openLog()
	if err != nil {
		return err
	}
	if file != nil {
		// Closed when the process ends, because Run logs the error that f returns.
		t.Log.SetOutput(file)
	}
	return t.seeHelp(f(t.Flags.Args()))
}

// parse reads the options of the environment and then those of the command line.
func (t *Tool) parse() error {
	args := t.Args
	if name := t.config.Variable; name != "" {
		first, err := Words(t.Getenv(name))
		if err != nil {
			return Usagef("%s: %w", name, err)
		}
		args = append(first, args...)
	}
	if err := t.Flags.Parse(args); err != nil {
		return Usagef("%w", err)
	}
	level, err := logrus.ParseLevel(t.options.logLevel)
	if err != nil {
		return Usagef("--log-level: %q is none of %s", t.options.logLevel, strings.Join(levels(), ", "))
	}
	t.Log.SetLevel(level)
	return nil
}

func (t *Tool) openLog() (*os.File, error) {
	if t.options.logFile == "" {
		return nil, nil
	}
	file, err := os.OpenFile(t.options.logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("--log-file: %w", err)
	}
	return file, nil
}

// seeHelp tells who has got the command line wrong where it is described.
func (t *Tool) seeHelp(err error) error {
	if usage := (*UsageError)(nil); errors.As(err, &usage) {
		return fmt.Errorf("%w; see %s --help", err, t.config.Name)
	}
	return err
}

// version returns the version of the module this program was built from, "(devel)" outside of one.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
