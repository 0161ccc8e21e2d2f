package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// timeFormat is how times are shown to people, in UTC.
const timeFormat = "2006-01-02 15:04 UTC"

// verdict is what there is to say about the certificates of a target at a moment.
type verdict struct {
	ok     bool
	reason string // the line of text, without the name
	// first is the certificate that ends first, the server's own of those that end together, and left the seconds until
	// then, negative when it has ended. A time.Duration can't hold the year 9999, which stands for no end.
	first *x509.Certificate
	left  int64
	// verifyErr is what the verification found, if there was one.
	verifyErr error
}

// judge looks at a chain, whose first certificate is the server's own. verify is nil when nothing is verified.
func judge(chain []*x509.Certificate, now time.Time, l limit, verify func([]*x509.Certificate, time.Time) error) verdict {
	first, last := chain[0], chain[0] // to end, and to begin
	for _, c := range chain[1:] {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
		if c.NotBefore.After(last.NotBefore) {
			last = c
		}
	}
	v := verdict{first: first, left: first.NotAfter.Unix() - now.Unix()}
	if now.Nanosecond() != 0 {
		v.left--
	}
	who, end := role(chain, first), first.NotAfter.UTC().Format(timeFormat)
	var bad []string
	switch {
	case v.left < 0:
		bad = append(bad, fmt.Sprintf("%s expired %s ago, on %s", who, span(-v.left), end))
	case now.Before(last.NotBefore):
		bad = append(bad, fmt.Sprintf("%s is not valid before %s", role(chain, last), last.NotBefore.UTC().Format(timeFormat)))
	case v.left < l.seconds():
		bad = append(bad, fmt.Sprintf("%s expires in %s, on %s (limit %v)", who, span(v.left), end, &l))
	}
	if verify != nil {
		v.verifyErr = verify(chain, now)
	}
	if v.verifyErr != nil && (len(bad) == 0 || !isExpiry(v.verifyErr)) {
		bad = append([]string{"certificate does not verify: " + strings.TrimPrefix(v.verifyErr.Error(), "x509: ")}, bad...)
	}
	if len(bad) != 0 {
		v.reason = strings.Join(bad, "; ")
		return v
	}
	v.ok = true
	v.reason = fmt.Sprintf("%s is valid for %s, until %s", who, count(v.left/daySeconds, "more day"), end)
	return v
}

// isExpiry tells whether a verification failed for a date, which is reported anyway.
func isExpiry(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// role is what a certificate of a chain is called.
func role(chain []*x509.Certificate, c *x509.Certificate) string {
	if c == chain[0] {
		return "certificate"
	}
	name := c.Subject.CommonName
	if name == "" {
		name = c.Subject.String()
	}
	kind := "certificate"
	switch {
	case c.IsCA && string(c.RawSubject) == string(c.RawIssuer):
		kind = "root"
	case c.IsCA:
		kind = "intermediate"
	}
	return fmt.Sprintf("%s %q", kind, name)
}

// span is a number of seconds in its largest unit, rounded down.
func span(seconds int64) string {
	switch {
	case seconds >= daySeconds:
		return count(seconds/daySeconds, "day")
	case seconds >= 60*60:
		return count(seconds/(60*60), "hour")
	case seconds >= 60:
		return count(seconds/60, "minute")
	}
	return count(seconds, "second")
}

func count(n int64, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
