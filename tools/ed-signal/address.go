package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

// findTarget makes a target of the values of --type and --host. It looks nothing up but the variable of a configuration
// file that --host may name.
func (o *options) findTarget(ctx context.Context) (receiver.Target, error) {
	file, name, found := fileAndName(o.network, o.host)
	if !found {
		target, err := o.parseHost(o.host)
		if err != nil {
			return target, cli.Usagef("%s: %w", o.where("host"), err)
		}
		return target, nil
	}
	c, err := readConf(ctx, file)
	if err != nil {
		return receiver.Target{}, fmt.Errorf("%s: %w", o.where("host"), err)
	}
	host, err := c.lookup(name)
	if err != nil {
		return receiver.Target{}, fmt.Errorf("%s: %w", o.where("host"), err)
	}
	target, err := receiver.Parse(o.network, host)
	if err != nil {
		return target, fmt.Errorf("%s: %s: %w", o.where("host"), o.host, err)
	}
	return target, nil
}

// parseHost is receiver.Parse with the words of this program.
func (o *options) parseHost(host string) (receiver.Target, error) {
	target, err := receiver.Parse(o.network, host)
	switch {
	case errors.Is(err, receiver.ErrPath):
		return target, fmt.Errorf("%q is not ADDR[:PORT]; a PATH or @NAME needs --type unix, unixgram or shm", host)
	case err != nil && strings.LastIndexByte(host, '@') > 0 && !(receiver.Target{Network: o.network}).Unix():
		return target, fmt.Errorf("%q is neither ADDR[:PORT] nor FILE@NAME of a file that exists", host)
	}
	return target, err
}

// fileAndName tells whether the host is FILE@NAME. A file is what exists or has a slash; not so @NAME of an abstract
// socket, and the path of a socket that exists.
func fileAndName(network, host string) (file, name string, found bool) {
	at := strings.LastIndexByte(host, '@')
	if at <= 0 {
		return "", "", false
	}
	if (receiver.Target{Network: network}).Unix() && (host[0] == '@' || exists(host)) {
		return "", "", false
	}
	file, name = host[:at], host[at+1:]
	return file, name, strings.Contains(file, "/") || exists(file)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
