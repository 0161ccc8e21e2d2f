package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const defaultTimeout = 5 * time.Second

// options is the command line, with what the environment and the configuration file add.
type options struct {
	host, network string // of --host and --type
	encrypt       boolean
	ca, cert, key string
	insecure      boolean

	message    string // [[SERVER:]SERVICE/]COMMAND
	server     string
	service    string
	parameters []string // NAME[=VALUE]

	secret     string
	secretFile string

	reply  boolean
	expect string
	value  string
	json   boolean

	timeout time.Duration // 0: for ever
	dryRun  boolean
	config  string

	// plainBefore is how many plain arguments there were before --message.
	plainBefore int
}

// define defines the flags.
func (o *options) define(tool *cli.Tool) {
	flags := tool.Flags
	boolean := func(b *boolean, name, short, usage string) {
		flags.VarPF(b, name, short, usage).NoOptDefVal = "true"
	}

	flags.StringVarP(&o.host, "host", "H", defaultHost+":"+defaultPort, "send to `ADDR[:PORT]`, PATH or FILE@NAME")
	flags.StringVarP(&o.network, "type", "t", typeUDP, "send over this `TYPE` of socket")
	boolean(&o.encrypt, "encrypt", "e", "encrypt, over tcp")
	flags.StringVar(&o.ca, "ca", "", "trust the authorities in this `FILE` only")
	flags.StringVar(&o.cert, "cert", "", "show the certificate in this `FILE`")
	flags.StringVar(&o.key, "key", "", "the key of --cert is in this `FILE`")
	boolean(&o.insecure, "insecure", "", "accept any certificate")
	flags.FuncP("message", "m", "the `MESSAGE`, as the plain argument", func(text string) error {
		o.message, o.plainBefore = text, flags.NArg()
		return nil
	})
	flags.StringArrayVarP(&o.parameters, "param", "p", nil, "add a parameter, `NAME[=VALUE]`")
	flags.StringVarP(&o.server, "server", "s", "", "send to the services of this `SERVER`")
	flags.StringVarP(&o.service, "service", "S", "", "send to this `SERVICE`")
	// Of the two the last one counts.
	flags.FuncP("secret-code", "c", "the `SECRET` that the receiver of a datagram wants", func(text string) error {
		o.secret, o.secretFile = text, ""
		return nil
	})
	flags.Func("secret-file", "read the secret from a `FILE`", func(file string) error {
		o.secret, o.secretFile = "", file
		return nil
	})
	boolean(&o.reply, "reply", "r", "wait for the reply and print it")
	flags.StringVarP(&o.expect, "expect", "x", "", "fail unless the reply is this `COMMAND`")
	flags.StringVarP(&o.value, "value", "v", "", "print the parameter of this `NAME` of the reply")
	boolean(&o.json, "json", "j", "print the reply as JSON")
	o.timeout = defaultTimeout
	flags.Var(cli.Seconds(&o.timeout), "timeout", "give up after `SECONDS`")
	boolean(&o.dryRun, "dry-run", "n", "print the message instead of sending it")
	flags.StringVar(&o.config, "config", "", "read options from this `FILE`")

	tool.Complete("type", cli.Completion{Words: types()})
	for _, name := range []string{"ca", "cert", "key", "secret-file", "config", "host"} {
		tool.Complete(name, cli.Completion{Files: true})
	}
}

// finish checks how the options fit together, once all are there.
func (o *options) finish(flags *pflag.FlagSet) error {
	if n := flags.NArg(); n > o.plainBefore {
		o.message = flags.Arg(n - 1)
	}
	for _, text := range flags.Args() {
		if strings.ContainsRune(text, '=') {
			return cli.Usagef("%q is no message; a parameter needs its own --param", text)
		}
		if _, err := parseDestination(text); err != nil {
			return err
		}
	}
	if !slices.Contains(types(), o.network) {
		return cli.Usagef("--type: %q is none of %s", o.network, strings.Join(types(), ", "))
	}
	if (target{network: o.network}).unix() && !flags.Changed("host") {
		return cli.Usagef("--type %s needs a --host", o.network)
	}
	if err := o.checkTLS(flags); err != nil {
		return err
	}
	if o.expect != "" {
		if err := message.New(o.expect).Err(); err != nil {
			return cli.Usagef("--expect: %w", err)
		}
	}
	if o.value != "" {
		if err := message.New("X").Set(o.value, "").Err(); err != nil {
			return cli.Usagef("--value: %w", err)
		}
	}
	if o.value != "" && bool(o.json) {
		return cli.Usagef("--value and --json exclude each other")
	}
	if o.picky() {
		o.reply = true
	}
	return nil
}

// checkTLS finds options that would do nothing: who gives them believes to be safe. After --encrypt=no they are meant
// to do nothing.
func (o *options) checkTLS(flags *pflag.FlagSet) error {
	off := flags.Changed("encrypt") && !bool(o.encrypt)
	for _, name := range []string{"encrypt", "ca", "cert", "key", "insecure"} {
		f := flags.Lookup(name)
		switch given := f.Value.String() != f.DefValue; {
		case !given || off:
		case o.network != typeTCP:
			return cli.Usagef("--%s needs --type tcp, not %s", name, o.network)
		case !bool(o.encrypt):
			return cli.Usagef("--%s needs --encrypt", name)
		}
	}
	if (o.cert == "") != (o.key == "") && bool(o.encrypt) {
		return cli.Usagef("--cert and --key need each other")
	}
	if o.ca != "" && bool(o.insecure) && bool(o.encrypt) {
		return cli.Usagef("--ca and --insecure exclude each other")
	}
	return nil
}

// picky tells whether the reply has to be a message.
func (o *options) picky() bool { return o.expect != "" || o.value != "" || bool(o.json) }

// boolean is the value of an option that is on or off, in the words that the C++ library has for it.
type boolean bool

var errBoolean = errors.New("none of true, on, yes, 1, false, off, no, 0")

// Set is a method of pflag.Value.
func (b *boolean) Set(text string) error {
	switch text {
	case "true", "on", "yes", "1":
		*b = true
	case "false", "off", "no", "0":
		*b = false
	default:
		return errBoolean
	}
	return nil
}

// String is a method of pflag.Value.
func (b *boolean) String() string {
	if *b {
		return "true"
	}
	return "false"
}

// Type is a method of pflag.Value.
func (b *boolean) Type() string { return "bool" }
