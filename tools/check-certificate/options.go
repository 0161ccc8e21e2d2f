package main

import (
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

// defaultTimeout is how long one server may take for everything.
const defaultTimeout = 10 * time.Second

// options are those of the command line.
type options struct {
	limit                  limit
	info, json, bad, quiet bool
	verify                 bool
	ca                     string
	servername             string
	files                  files
	starttls               string
	timeout                time.Duration

	flags *pflag.FlagSet
}

// newOptions gives a tool its options.
func newOptions(tool *cli.Tool) *options {
	o := &options{limit: limit(defaultLimit), timeout: defaultTimeout, flags: tool.Flags}
	o.files.before = tool.Flags.NArg
	f := tool.Flags
	f.VarP(&o.limit, "limit", "l", "report what ends within a `DURATION`, as in 60, 60d, 2w, 1y (default 14 days)")
	f.BoolVarP(&o.info, "info", "i", false, "print the fields of the certificate")
	f.BoolVarP(&o.json, "json", "j", false, "print an object for each name, a line each")
	f.BoolVarP(&o.bad, "bad", "b", false, "print nothing of what is good")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print errors only")
	f.BoolVarP(&o.verify, "verify", "v", false, "check the chain and the name as well")
	f.StringVarP(&o.ca, "ca", "c", "", "trust the certificates of a `FILE` with --verify, not those of the system")
	f.StringVarP(&o.servername, "servername", "n", "", "ask servers for a `NAME`, and with --verify check that one")
	f.VarP(&o.files, "file", "f", "check the certificates in a `PEM` file")
	f.StringVarP(&o.starttls, "starttls", "s", "", "begin in plain text with a `PROTOCOL`, smtp, imap or pop3")
	f.VarP(cli.Seconds(&o.timeout), "timeout", "t", "wait `SECONDS` for a server (default 10)")
	tool.Complete("ca", cli.Completion{Files: true})
	tool.Complete("file", cli.Completion{Files: true})
	tool.Complete("starttls", cli.Completion{Words: protocolNames()})
	return o
}

// targets checks the options, and returns what is to be checked, in the order of the command line.
func (o *options) targets(args []string) ([]target, error) {
	protocol, known := protocols()[o.starttls]
	printed := slices.DeleteFunc([]string{"--info", "--json", "--quiet"}, func(name string) bool {
		return !map[string]bool{"--info": o.info, "--json": o.json, "--quiet": o.quiet}[name]
	})
	switch {
	case len(args)+len(o.files.names) == 0:
		return nil, cli.Usagef("no name is given, and no file")
	case len(printed) > 1:
		return nil, cli.Usagef("%s and %s exclude each other", printed[0], printed[1])
	case o.bad && o.quiet:
		return nil, cli.Usagef("--bad and --quiet exclude each other")
	case o.flags.Changed("ca") && o.ca == "":
		return nil, cli.Usagef("--ca: %w", errEmpty)
	case o.ca != "" && !o.verify:
		return nil, cli.Usagef("--ca needs --verify")
	case o.flags.Changed("servername") && len(args) == 0:
		return nil, cli.Usagef("--servername is of no use to files")
	case o.ca == stdin && slices.Contains(o.files.names, stdin):
		return nil, cli.Usagef("--ca: %w", errTwice)
	case o.flags.Changed("starttls") && !known:
		return nil, cli.Usagef("--starttls: %q is none of smtp, imap and pop3", o.starttls)
	case o.timeout == 0:
		return nil, cli.Usagef("--timeout: no time at all")
	}
	port := "443"
	if known {
		port = protocol.port
	}
	if o.flags.Changed("servername") {
		if err := checkName(o.servername); err != nil {
			return nil, cli.Usagef("--servername: %w", err)
		}
	}
	return o.files.merge(args, port)
}

// files are the values of --file, and where each stands among the plain arguments.
type files struct {
	names  []string
	places []int
	before func() int // how many plain arguments there were so far
}

func (f *files) Set(name string) error {
	switch {
	case name == "":
		return errEmpty
	case name == stdin && slices.Contains(f.names, stdin):
		return errTwice
	}
	f.names = append(f.names, name)
	f.places = append(f.places, f.before())
	return nil
}

func (f *files) String() string { return "" }

// Type ends in Array, for what may be given several times.
func (f *files) Type() string { return "fileArray" }

// merge puts the files among the names of servers.
func (f *files) merge(args []string, port string) (all []target, err error) {
	next := 0
	for i := range len(args) + 1 {
		for ; next < len(f.names) && f.places[next] == i; next++ {
			all = append(all, target{name: f.names[next], file: true})
		}
		if i == len(args) {
			break
		}
		server, err := newServer(args[i], port)
		if err != nil {
			return nil, cli.Usagef("%w", err)
		}
		all = append(all, server)
	}
	return all, nil
}
