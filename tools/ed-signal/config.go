package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/spf13/pflag"
)

// defaultConfig is the configuration file of the C++ tool, too.
const defaultConfig = "/etc/eventdispatcher/ed-signal.conf"

// configure sets the options that neither the environment nor the command line has as the configuration file says: that
// of --config, or defaultFile when it exists. It keeps in places where options come from.
func (o *options) configure(ctx context.Context, flags *pflag.FlagSet, defaultFile string) error {
	file := o.config
	if !flags.Changed("config") {
		file = defaultFile
	}
	if file == "" {
		return nil
	}
	c, err := readConf(ctx, file)
	switch wrong := (*confError)(nil); {
	case err == nil:
		o.places, err = c.apply(flags)
		return err
	case errors.As(err, &wrong):
		return err
	case flags.Changed("config"):
		return fmt.Errorf("--config: %w", err)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return nil
	}
	return err
}

// apply sets options, and returns their places, file:line. Parameters add up, of other names the last one counts.
func (c *conf) apply(flags *pflag.FlagSet) (places map[string]string, err error) {
	if c.stray != 0 {
		return nil, &confError{c.file, c.stray, "neither OPTION=VALUE nor a comment"}
	}
	given := map[string]bool{}
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	secret := given["secret-code"] || given["secret-file"]
	given["secret-code"], given["secret-file"] = secret, secret
	given["message"] = given["message"] || flags.NArg() > 0

	places = map[string]string{}
	for _, v := range c.variables {
		switch f := flags.Lookup(v.name); {
		case f == nil:
			return nil, &confError{c.file, v.line, fmt.Sprintf("no option is named %q", v.name)}
		case forCommandLine(v.name):
			return nil, &confError{c.file, v.line, v.name + " is an option of the command line only"}
		case v.wrong != "":
			return nil, &confError{c.file, v.line, v.name + ": " + v.wrong}
		case given[v.name]:
		default:
			// Not Flags.Set, whose text is that of the command line.
			if err := f.Value.Set(v.value); err != nil {
				return nil, &confError{c.file, v.line, fmt.Sprintf("%s: %.64q: %v", v.name, v.value, err)}
			}
			f.Changed = true
			places[v.name] = fmt.Sprintf("%s:%d", c.file, v.line)
		}
	}
	return places, nil
}

// forCommandLine tells the options that have done their work before the file is read.
func forCommandLine(name string) bool {
	switch name {
	case "help", "version", "completion", "log-level", "log-file", "config":
		return true
	}
	return false
}
