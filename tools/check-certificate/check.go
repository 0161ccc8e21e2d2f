package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

// maxParallel is how many targets are looked at together.
const maxParallel = 16

// checker checks targets.
type checker struct {
	tool    *cli.Tool
	options *options
	fetcher fetcher
	roots   *x509.CertPool // nil: those of the system
}

// result is what was found out about a target.
type result struct {
	target target
	chain  []*x509.Certificate // at least one, unless err is set
	err    error               // why it couldn't be read
	verdict
}

func newChecker(tool *cli.Tool, o *options) (*checker, error) {
	c := &checker{tool: tool, options: o, fetcher: fetcher{timeout: o.timeout, name: o.servername, log: tool.Log}}
	if p, ok := protocols()[o.starttls]; ok {
		c.fetcher.starttls = &p
	}
	if o.ca != "" {
		trusted, err := readFile(o.ca, tool.Stdin)
		if err != nil {
			return nil, fmt.Errorf("--ca: %s: %w", o.ca, why(err))
		}
		c.roots = x509.NewCertPool()
		for _, certificate := range trusted {
			c.roots.AddCert(certificate)
		}
	}
	return c, nil
}

// check looks at all targets side by side and prints what it finds in their order.
func (c *checker) check(targets []target) error {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	places := make(chan struct{}, maxParallel)
	results := make([]chan result, len(targets))
	for i, t := range targets {
		results[i] = make(chan result, 1)
		start := running.Go
		if t.file && t.name == stdin {
			// Nothing ends a read of it: when the output fails, that is said without waiting for more input.
			start = func(f func()) { go f() }
		}
		start(func() {
			places <- struct{}{}
			defer func() { <-places }()
			results[i] <- c.look(ctx, t)
		})
	}

	p := printer{tool: c.tool, options: c.options, lines: len(targets) > 1 || targets[0].file}
	good := true
	for _, each := range results {
		r := <-each
		good = good && r.ok
		if err := p.print(r); err != nil {
			return err
		}
	}
	if !good {
		return cli.ErrFailed
	}
	return nil
}

// look finds out about one target.
func (c *checker) look(ctx context.Context, t target) result {
	r := result{target: t}
	var doubt error
	if t.file {
		r.chain, r.err = readFile(t.name, c.tool.Stdin)
		if r.err != nil {
			r.err = why(r.err)
		}
	} else {
		var got sent
		got, r.err = c.fetcher.fetch(ctx, t)
		r.chain, doubt = got.chain, got.doubt
	}
	if r.err != nil {
		r.reason = "failed to load the certificate: " + r.err.Error()
		return r
	}
	var verify func([]*x509.Certificate, time.Time) error
	if c.options.verify {
		verify = func(chain []*x509.Certificate, now time.Time) error {
			if doubt != nil {
				return doubt
			}
			return c.verify(t, chain, now)
		}
	}
	r.verdict = judge(r.chain, time.Now(), c.options.limit, verify)
	return r
}

// verify checks a chain as a client does that connects to the target. Of a file nobody knows the name, nor what it is
// for.
func (c *checker) verify(t target, chain []*x509.Certificate, now time.Time) error {
	o := x509.VerifyOptions{Roots: c.roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	if t.file {
		o.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	} else {
		if c.fetcher.name != "" {
			t.host = c.fetcher.name
		}
		o.DNSName = t.hostname()
	}
	for _, certificate := range chain[1:] {
		o.Intermediates.AddCert(certificate)
	}
	_, err := chain[0].Verify(o)
	return err
}
