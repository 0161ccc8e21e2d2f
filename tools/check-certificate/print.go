package main

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

// printer prints results as the options want them.
type printer struct {
	tool    *cli.Tool
	options *options
	lines   bool // also of what is good
	further bool // something was printed with fields
}

// print prints a result. Its error is that of the output.
func (p *printer) print(r result) error {
	if r.err != nil {
		p.tool.Report(fmt.Errorf("%s: %s", shown(r.target), r.reason))
	}
	var text string
	switch {
	case p.options.quiet, p.options.bad && r.ok:
	case p.options.json:
		text = asJSON(r, p.options)
	case r.err != nil:
	default:
		if !r.ok || p.lines {
			text = cli.Printable(shown(r.target)+": "+r.reason) + "\n"
		}
		if p.options.info {
			text += info(r)
			if p.further {
				text = "\n" + text
			}
			p.further = true
		}
	}
	if text == "" {
		return nil
	}
	if _, err := io.WriteString(p.tool.Stdout, text); err != nil {
		return fmt.Errorf("write: %w", why(err))
	}
	return nil
}

// shown is what a target is called in the output.
func shown(t target) string {
	if t.file && t.name == stdin {
		return shownStdin
	}
	return t.name
}

// info lists the fields of the first certificate that aren't empty: those that the C++ library's tool prints, in its
// order.
func info(r result) string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(&b, "%s: %s\n", key, cli.Printable(value))
		}
	}
	key := "domain"
	if r.target.file {
		key = "file"
	}
	c := r.chain[0]
	line(key, shown(r.target))
	const format = "2006/01/02 15:04:05"
	line("not-before", c.NotBefore.Local().Format(format))
	line("not-after", c.NotAfter.Local().Format(format))
	for _, who := range []struct {
		key  string
		name pkix.Name
	}{{"issuer", c.Issuer}, {"subject", c.Subject}} {
		// RFC 5280, appendix A.1; the address is of PKCS #9.
		line(who.key+"-common-name", values(who.name, 2, 5, 4, 3))
		line(who.key+"-country-name", values(who.name, 2, 5, 4, 6))
		line(who.key+"-locality-name", values(who.name, 2, 5, 4, 7))
		line(who.key+"-state-or-province-name", values(who.name, 2, 5, 4, 8))
		line(who.key+"-organization-name", values(who.name, 2, 5, 4, 10))
		line(who.key+"-organizational-unit", values(who.name, 2, 5, 4, 11))
		line(who.key+"-email-address", values(who.name, 1, 2, 840, 113549, 1, 9, 1))
	}
	return b.String()
}

// values are those of one attribute of a name.
func values(name pkix.Name, id ...int) string {
	var all []string
	for _, attribute := range name.Names {
		if text, ok := attribute.Value.(string); ok && attribute.Type.Equal(asn1.ObjectIdentifier(id)) {
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

// object is what --json prints for a target; the manual page describes it. The pointers are nil when there is nothing
// to say.
type object struct {
	Name        string     `json:"name"`
	OK          bool       `json:"ok"`
	Reason      string     `json:"reason"`
	LimitDays   float64    `json:"limit_days"`
	DaysLeft    *int64     `json:"days_left,omitempty"`
	NotBefore   *time.Time `json:"not_before,omitempty"`
	NotAfter    *time.Time `json:"not_after,omitempty"`
	First       *firstOut  `json:"expires_first,omitempty"`
	Subject     string     `json:"subject,omitempty"`
	Issuer      string     `json:"issuer,omitempty"`
	DNSNames    []string   `json:"dns_names,omitempty"`
	Addresses   []string   `json:"ip_addresses,omitempty"`
	Serial      string     `json:"serial,omitempty"`
	Fingerprint string     `json:"fingerprint_sha256,omitempty"`
	Verified    *bool      `json:"verified,omitempty"`
	VerifyError string     `json:"verify_error,omitempty"`
	Error       string     `json:"error,omitempty"`
}

type firstOut struct {
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"not_after"`
}

// asJSON is a result as an object on one line.
func asJSON(r result, o *options) string {
	out := object{Name: shown(r.target), OK: r.ok, Reason: r.reason, LimitDays: o.limit.days()}
	if r.err != nil {
		out.Error = r.err.Error()
		return encode(out)
	}
	out.certificate(r.chain[0])
	days := r.left / daySeconds
	if r.left < 0 && r.left%daySeconds != 0 {
		days-- // rounded down, so that what has ended is never 0
	}
	out.DaysLeft = &days
	out.First = &firstOut{Subject: r.first.Subject.String(), NotAfter: r.first.NotAfter.UTC()}
	if o.verify {
		verified := r.verifyErr == nil
		out.Verified = &verified
		if !verified {
			out.VerifyError = r.verifyErr.Error()
		}
	}
	return encode(out)
}

// certificate fills in what the certificate itself says.
func (out *object) certificate(c *x509.Certificate) {
	from, to, sum := c.NotBefore.UTC(), c.NotAfter.UTC(), sha256.Sum256(c.Raw)
	out.NotBefore, out.NotAfter = &from, &to
	out.Subject, out.Issuer, out.DNSNames = c.Subject.String(), c.Issuer.String(), c.DNSNames
	for _, address := range c.IPAddresses {
		out.Addresses = append(out.Addresses, address.String())
	}
	out.Serial, out.Fingerprint = serial(c.SerialNumber), hex.EncodeToString(sum[:])
}

// serial is a number in hexadecimal, in whole bytes.
func serial(n *big.Int) string {
	text := n.Text(16)
	if digits := strings.TrimPrefix(text, "-"); len(digits)%2 != 0 {
		text = strings.TrimSuffix(text, digits) + "0" + digits
	}
	return text
}

// encode writes JSON without a character that a terminal obeys or that can't be seen.
func encode(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(errors.Join(errors.New("check-certificate: an object that JSON can't hold"), err))
	}
	var out strings.Builder
	for _, r := range b.String() {
		if r == '\n' || unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			_, _ = fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}
