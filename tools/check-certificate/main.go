// What today's defaults of Go refuse to read is what has to be reported.
//
//go:debug tlsmaxrsasize=16384
//go:debug tlssha1=1
//go:debug x509negativeserial=1

// Command check-certificate tells whether the certificates of servers, or those in files, end soon: for monitoring, and
// for scripts that renew them.
//
//	check-certificate [options] DOMAIN[:PORT]...
//	check-certificate [options] --file PEM [--file PEM]...
//
//	if ! check-certificate localhost:8443; then …; fi
//	check-certificate --limit 4w example.com mail.example.com:993 [2001:db8::1]:8443
//	check-certificate --starttls smtp mail.example.com
//	check-certificate --verify --servername www.example.com 192.0.2.7:443
//	check-certificate --file /etc/ssl/site.pem
//	check-certificate --json example.com | jq .days_left
//
// It takes the certificates that the server sends as they are, so that it can tell of those that don't verify, have
// expired, or are somebody else's; --verify looks at that as well. All that the server sends count: the one that ends
// first has to be valid for the limit of time, 14 days when none is given. The port is 443 when none is given.
//
// One name whose certificates are good prints nothing, a bad one a line. Several names, and files, have a line each, in
// their order; with --bad only those that are bad, which is what cron wants. --info prints the fields of the
// certificate, --json an object a line. The manual page describes both.
//
// # Safety
//
// Nothing that comes from the server is trusted: its bytes are bounded (64 KiB a handshake message, 256 KiB the
// certificates, a file 4 MiB, a line before STARTTLS 4 KiB), its time is (--timeout), and control characters in its
// certificate are shown escaped. TLS 1.0 and old ciphers are spoken, for nothing secret is ever sent.
//
// # Exit status
//
//	0  when all are valid for at least the limit
//	1  when one isn't, couldn't be read, or doesn't verify with --verify
//	2  when the command line is wrong
//
// # In Go programs
//
// Use crypto/tls: tls.Dial with InsecureSkipVerify, then ConnectionState().PeerCertificates. For the certificate that a
// service of this library listens with, package tcp can replace it while it runs.
package main

import (
	"os"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

// program is the tool's name.
const program = "check-certificate"

func main() { os.Exit(run(cli.System())) }

// run is the whole program. It returns the exit status.
func run(env cli.Env) int {
	tool := cli.New(cli.Config{Name: program, Help: help}, env)
	o := newOptions(tool)
	return tool.Run(func(args []string) error {
		targets, err := o.targets(args)
		if err != nil {
			return err
		}
		c, err := newChecker(tool, o)
		if err != nil {
			return err
		}
		return c.check(targets)
	})
}
