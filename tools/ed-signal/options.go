package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

const defaultHost = receiver.DefaultHost + ":" + receiver.DefaultPort

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

	retry   boolean
	timeout time.Duration // 0: for ever
	dryRun  boolean
	config  string

	onCommandLine map[string]bool   // the options that the command line has, by name
	places        map[string]string // file:line of the options that the configuration file has

	// plainBefore is how many plain arguments there were before --message.
	plainBefore int
}

// define defines the flags.
func (o *options) define(tool *cli.Tool) {
	flags := tool.Flags
	boolean := func(b *boolean, name, short, usage string) {
		flags.VarPF(b, name, short, usage).NoOptDefVal = "true"
	}

	flags.StringVarP(&o.host, "host", "H", defaultHost, "send to `ADDR[:PORT]`, PATH or FILE@NAME")
	flags.StringVarP(&o.network, "type", "t", receiver.UDP, "send over this `TYPE` of socket")
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
		if file == "" {
			return errEmpty
		}
		return nil
	})
	boolean(&o.reply, "reply", "r", "wait for the reply and print it")
	flags.StringVarP(&o.expect, "expect", "x", "", "fail unless the reply is this `COMMAND`")
	flags.StringVarP(&o.value, "value", "v", "", "print the parameter of this `NAME` of the reply")
	boolean(&o.json, "json", "j", "print the reply as JSON")
	boolean(&o.retry, "retry", "R", "while nobody listens, try again until --timeout")
	o.timeout = defaultTimeout
	flags.Var(cli.Seconds(&o.timeout), "timeout", "give up after `SECONDS`")
	boolean(&o.dryRun, "dry-run", "n", "print the message instead of sending it")
	flags.StringVar(&o.config, "config", "", "read options from this `FILE`")

	tool.Complete("type", cli.Completion{Words: receiver.Networks()})
	for _, name := range []string{"ca", "cert", "key", "secret-file", "config", "host"} {
		tool.Complete(name, cli.Completion{Files: true})
	}
}

// namesIn returns the names of the options in arguments.
func namesIn(args []string) map[string]bool {
	tool := cli.New(cli.Config{}, cli.Env{})
	new(options).define(tool)
	names := map[string]bool{}
	if tool.Flags.Parse(args) == nil {
		tool.Flags.Visit(func(f *pflag.Flag) { names[f.Name] = true })
	}
	return names
}

// where is an option in errors, with its place when it comes from the configuration file.
func (o *options) where(name string) string {
	if place := o.places[name]; place != "" {
		return place + ": --" + name
	}
	return "--" + name
}

// errEmpty is for values that are often those of a variable of a shell, which isn't set. What they are for would be off
// without a word.
var errEmpty = errors.New("the value is empty")

// finish checks how the options fit together, once all are there.
func (o *options) finish(flags *pflag.FlagSet) error {
	if err := o.checkMessages(flags); err != nil {
		return err
	}
	for _, name := range []string{"server", "service", "ca", "cert", "key", "expect", "value"} {
		if f := flags.Lookup(name); f.Changed && f.Value.String() == "" {
			return cli.Usagef("%s: %w", o.where(name), errEmpty)
		}
	}
	if !slices.Contains(receiver.Networks(), o.network) {
		return cli.Usagef("%s: %q is none of %s", o.where("type"), o.network, strings.Join(receiver.Networks(), ", "))
	}
	if (receiver.Target{Network: o.network}).Unix() && !flags.Changed("host") {
		return cli.Usagef("--type %s needs a --host", o.network)
	}
	if err := o.checkTLS(flags); err != nil {
		return err
	}
	if o.expect != "" {
		if err := message.New(o.expect).Err(); err != nil {
			return cli.Usagef("%s: %w", o.where("expect"), err)
		}
	}
	if o.value != "" {
		if err := message.New("X").Set(o.value, "").Err(); err != nil {
			return cli.Usagef("%s: %w", o.where("value"), err)
		}
	}
	if o.value != "" && bool(o.json) {
		return cli.Usagef("%s and %s exclude each other", o.where("value"), o.where("json"))
	}
	if o.picky() {
		o.reply = true
	}
	if bool(o.retry) && !bool(o.reply) && o.network == receiver.UDP {
		return cli.Usagef("%s over udp needs --reply: without one nothing tells whether somebody listens", o.where("retry"))
	}
	return nil
}

// checkMessages finds the message among the plain arguments, and those that are none.
func (o *options) checkMessages(flags *pflag.FlagSet) error {
	for _, text := range flags.Args() {
		if new(boolean).Set(text) == nil {
			return cli.Usagef("%q is no message; the value of an option that is on or off stands behind =, as in --encrypt=%s", text, text)
		}
		if strings.ContainsRune(text, '=') {
			return cli.Usagef("%q is no message; a parameter needs its own --param", text)
		}
		if _, err := parseDestination(text); err != nil {
			return err
		}
	}
	switch n := flags.NArg(); {
	case n > 1:
		return cli.Usagef("%q and %q are two messages; the value of a parameter stands behind =, as in --param NAME=VALUE",
			flags.Arg(0), flags.Arg(1))
	case n > o.plainBefore:
		o.message = flags.Arg(0)
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
		case o.network != receiver.TCP:
			return cli.Usagef("%s needs --type tcp, not %s", o.where(name), o.network)
		case !bool(o.encrypt):
			return cli.Usagef("%s needs --encrypt", o.where(name))
		}
	}
	if (o.cert == "") != (o.key == "") && bool(o.encrypt) {
		return cli.Usagef("%s and %s need each other", o.where("cert"), o.where("key"))
	}
	if o.ca != "" && bool(o.insecure) && bool(o.encrypt) {
		return cli.Usagef("%s and %s exclude each other", o.where("ca"), o.where("insecure"))
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
