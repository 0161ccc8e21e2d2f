package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

func TestLimit(t *testing.T) {
	for _, tt := range []struct {
		text string
		want time.Duration
		show string
	}{
		{"1", day, "1 day"}, {"1d", day, "1 day"}, {"60", 60 * day, "60 days"}, {"60d", 60 * day, "60 days"}, {"007", 7 * day, "7 days"},
		{"2w", 14 * day, "14 days"}, {"1.5w", 252 * time.Hour, "10.5 days"}, {"1.1w", 184*time.Hour + 48*time.Minute, "7.7 days"},
		{"1y", 365 * day, "365 days"}, {".5y", 182*day + 12*time.Hour, "182.5 days"}, {"1.", day, "1 day"}, {"365", 365 * day, "365 days"},
	} {
		var l limit
		if err := l.Set(tt.text); err != nil || time.Duration(l) != tt.want || l.String() != tt.show {
			t.Errorf("%q: got %v %v, %v, want %v %v", tt.text, time.Duration(l), &l, err, tt.want, tt.show)
		}
	}
	for text, want := range map[string]error{
		"": errNoSpan, "d": errNoSpan, ".": errNoSpan, "abc": errNoSpan, "1.2.3": errNoSpan, "1 d": errNoSpan, " 1": errNoSpan, "-5": errNoSpan, "+5": errNoSpan,
		"1D": errNoSpan, "1m": errNoSpan, "5h": errNoSpan, "1e1": errNoSpan, "0x10": errNoSpan, "1_0": errNoSpan, "inf": errNoSpan, "NaN": errNoSpan, "1dd": errNoSpan,
		"0": errLimitRange, "0.99": errLimitRange, "366": errLimitRange, "53w": errLimitRange, "2y": errLimitRange, "1.001y": errLimitRange,
		strings.Repeat("9", 500): errLimitRange,
	} {
		l := limit(7 * day)
		if err := l.Set(text); !errors.Is(err, want) || l != limit(7*day) {
			t.Errorf("%.20q: got %v, %v, want %v", text, &l, err, want)
		}
	}
}

func TestTargets(t *testing.T) {
	for text, want := range map[string][2]string{ // what is dialled, and whom the certificate has to be for
		"example.com":        {"example.com:443", "example.com"},
		"example.com:8443":   {"example.com:8443", "example.com"},
		"example.com.:1":     {"example.com.:1", "example.com."},
		"a_b":                {"a_b:443", "a_b"},
		"192.0.2.1":          {"192.0.2.1:443", "192.0.2.1"},
		"192.0.2.1:65535":    {"192.0.2.1:65535", "192.0.2.1"},
		"::1":                {"[::1]:443", "::1"},
		"2001:db8::1":        {"[2001:db8::1]:443", "2001:db8::1"},
		"[::1]":              {"[::1]:443", "::1"},
		"[::1]:8443":         {"[::1]:8443", "::1"},
		"[fe80::1%eth0]:853": {"[fe80::1%eth0]:853", "fe80::1"},
	} {
		got, err := newServer(text, "443")
		if err != nil || got.address() != want[0] || got.hostname() != want[1] || got.name != text {
			t.Errorf("%q: got %q, %q, %v", text, got.address(), got.hostname(), err)
		}
	}
	for protocol, port := range map[string]string{"": "443", "smtp": "25", "imap": "143", "pop3": "110"} {
		o := newOptions(cli.New(cli.Config{}, cli.Env{}))
		o.starttls = protocol
		all, err := o.targets([]string{"a", "a:1"})
		if err != nil || all[0].address() != "a:"+port || all[1].address() != "a:1" {
			t.Errorf("the port of %q: %+v, %v, want %s", protocol, all, err, port)
		}
	}
	for text, want := range map[string]error{
		"": errEmpty, ":443": errEmpty, "a:": errPort, "a:0": errPort, "a:-1": errPort, "a:+1": errPort, "a:65536": errPort, "a:1x": errPort, "a:１": errCharacter,
		"a:b:c": errColons, "::1:x": errColons, "[::1": errBrackets, "[::1]443": errBrackets, "[a]": errBrackets, "[127.0.0.1]": errBrackets, "[]": errBrackets, "[::1]:": errPort,
		"https://a": errURL, "a/b": errPath, "./a.pem": errPath, "a b": errCharacter, "a\n": errCharacter, "a\x1b[2J": errCharacter, "bücher.example": errCharacter, "\xff": errCharacter,
	} {
		if got, err := newServer(text, "443"); !errors.Is(err, want) {
			t.Errorf("%q: got %+v, %v, want %v", text, got, err, want)
		}
	}
}

// TestLiteral: who EHLO says is there.
func TestLiteral(t *testing.T) {
	for want, local := range map[string]net.Addr{
		"[192.0.2.1]":        &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1},
		"[IPv6:2001:db8::1]": &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1},
		"[IPv6:fe80::1]":     &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"},
		"localhost":          &net.UnixAddr{Name: "x"},
	} {
		if got := literal(local); got != want {
			t.Errorf("%v: got %s, want %s", local, got, want)
		}
	}
}

// TestEdges: what counts at the second.
func TestEdges(t *testing.T) {
	end := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	chain := []*x509.Certificate{{NotBefore: end.Add(-100 * day), NotAfter: end}}
	fourteen := limit(defaultLimit)
	for before, want := range map[time.Duration]string{
		100 * day:                 "certificate is valid for 100 more days, until 2026-11-26 12:00 UTC",
		100*day + 1:               "certificate is not valid before 2026-08-18 12:00 UTC",
		14 * day:                  "certificate is valid for 14 more days, until 2026-11-26 12:00 UTC",
		14*day - 1:                "certificate expires in 13 days, on 2026-11-26 12:00 UTC (limit 14 days)",
		2*day - 1:                 "certificate expires in 1 day, on 2026-11-26 12:00 UTC (limit 14 days)",
		day - 1:                   "certificate expires in 23 hours, on 2026-11-26 12:00 UTC (limit 14 days)",
		time.Hour:                 "certificate expires in 1 hour, on 2026-11-26 12:00 UTC (limit 14 days)",
		90 * time.Second:          "certificate expires in 1 minute, on 2026-11-26 12:00 UTC (limit 14 days)",
		0:                         "certificate expires in 0 seconds, on 2026-11-26 12:00 UTC (limit 14 days)",
		-1:                        "certificate expired 1 second ago, on 2026-11-26 12:00 UTC",
		-day:                      "certificate expired 1 day ago, on 2026-11-26 12:00 UTC",
		-(1000*day + time.Second): "certificate expired 1000 days ago, on 2026-11-26 12:00 UTC",
	} {
		v := judge(chain, end.Add(-before), fourteen, nil)
		if v.reason != want || v.ok != strings.Contains(want, "more") {
			t.Errorf("%v before: %v, %q, want %q", before, v.ok, v.reason, want)
		}
	}
	// The end of a certificate that has none (RFC 5280, section 4.1.2.5), in years more than a time.Duration holds.
	chain[0].NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	if v := judge(chain, end, fourteen, nil); v.reason != "certificate is valid for 2912113 more days, until 9999-12-31 23:59 UTC" {
		t.Errorf("got %q", v.reason)
	}
}

// TestRoles: which one of a chain is named, and how.
func TestRoles(t *testing.T) {
	now := time.Now()
	root := newRoot(t)
	middle := issue(t, root, ecKey(), 400, authority("Middle"))
	leaf := issue(t, &middle, ecKey(), 400).Leaf
	other := issue(t, root, ecKey(), 10, func(c *x509.Certificate) { c.Subject.CommonName = "" }).Leaf
	early := func(c *x509.Certificate, days int) *x509.Certificate {
		sooner := *c
		sooner.NotAfter = now.Add(time.Duration(days)*day + margin)
		return &sooner
	}
	for _, tt := range []struct {
		chain []*x509.Certificate
		want  string
	}{
		{[]*x509.Certificate{early(leaf, 5), early(middle.Leaf, 6)}, "certificate expires in 5 days"},
		{[]*x509.Certificate{early(leaf, 5), early(middle.Leaf, 5)}, "certificate expires in 5 days"},
		{[]*x509.Certificate{leaf, early(middle.Leaf, 5), early(root.Leaf, 4)}, `root "test.example" expires in 4 days`},
		{[]*x509.Certificate{leaf, early(middle.Leaf, -2), early(root.Leaf, 4)}, `intermediate "Middle" expired 1 day ago`},
		{[]*x509.Certificate{leaf, other}, `certificate "OU=Unit,O=Test Org,L=City,ST=California,C=US`},
	} {
		if v := judge(tt.chain, now, limit(defaultLimit), nil); v.ok || !strings.HasPrefix(v.reason, tt.want) {
			t.Errorf("got %q, want %q", v.reason, tt.want)
		}
	}
}

// TestObject: all keys of --json.
func TestObject(t *testing.T) {
	root := newRoot(t)
	middle := issue(t, root, ecKey(), 20, authority("Middle"))
	chain := issue(t, &middle, ecKey(), 30)
	end := chain.Leaf.NotAfter.UTC().Format(time.RFC3339)
	status, stdout, stderr := runHere(string(pemOf(chain.Certificate...)), "--json", "--limit", "2w", "--verify",
		"--ca", save(t, t.TempDir(), "root.pem", pemOf(root.Certificate[0])), "--file", "-")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, %s", status, stderr)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	const name = "CN=test.example,OU=Unit,O=Test Org,L=City,ST=California,C=US,1.2.840.113549.1.9.1=#0c056140622e63"
	sum := sha256.Sum256(chain.Certificate[0])
	ends := middle.Leaf.NotAfter.UTC()
	want := map[string]any{
		"name": "<stdin>", "ok": true, "reason": `intermediate "Middle" is valid for 20 more days, until ` + ends.Format(timeFormat),
		"limit_days": 14.0, "days_left": 20.0, "not_before": chain.Leaf.NotBefore.UTC().Format(time.RFC3339), "not_after": end,
		"expires_first": map[string]any{"subject": "CN=Middle", "not_after": ends.Format(time.RFC3339)},
		"subject":       name, "issuer": "CN=Middle", "dns_names": []any{"localhost"}, "ip_addresses": []any{"127.0.0.1", "::1"},
		"serial": "0abc", "fingerprint_sha256": hex.EncodeToString(sum[:]), "verified": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	for number, want := range map[int64]string{0: "00", 5: "05", 0x10: "10", -5: "-05", 0x123: "0123"} {
		if got := serial(big.NewInt(number)); got != want {
			t.Errorf("%d is shown as %q, want %q", number, got, want)
		}
	}
}

// TestEscapes: no character in the JSON that a terminal obeys, and the values are what they were.
func TestEscapes(t *testing.T) {
	text := "a\x00\x1b\x7f\u009b\u202e\U000e0001\"\\<&>é\u2028"
	encoded := encode(map[string]string{"x": text})
	want := "{\"x\":\"a\\u0000\\u001b\\u007f\\u009b\\u202e\\udb40\\udc01\\\"\\\\<&>é\\u2028\"}\n"
	if encoded != want {
		t.Errorf("got %q, want %q", encoded, want)
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(encoded), &back); err != nil || back["x"] != text {
		t.Errorf("got %q, %v", back["x"], err)
	}
}

// TestNamesOfFiles: nor does the name of a file reach a terminal as it is.
func TestNamesOfFiles(t *testing.T) {
	good := issue(t, newRoot(t), ecKey(), 400)
	file := save(t, t.TempDir(), "\x1b[2J\n.pem", pemOf(good.Certificate...))
	for _, option := range []string{"--info", "--json", "--limit=14"} {
		status, stdout, stderr := runHere("", option, "--file", file, "--file", file+"x")
		if status != 1 || !strings.Contains(stdout, "[2J") || !strings.Contains(stderr, `\x1b[2J\n.pemx: failed`) || !printable(stdout+stderr) {
			t.Errorf("%s: status %d, %q, %q", option, status, stdout, stderr)
		}
	}
}

// TestServerName: a name is told to the server, an address isn't.
func TestServerName(t *testing.T) {
	good := issue(t, newRoot(t), ecKey(), 400)
	names := make(chan string, 1)
	server := serve(t, secure(good, func(c *tls.Config) {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			names <- hello.ServerName
			return nil, nil
		}
	}))
	for name, want := range map[string]string{server: "localhost", strings.Replace(server, "localhost", "127.0.0.1", 1): ""} {
		if status, _, stderr := runHere("", name); status != 0 {
			t.Fatalf("%s: status %d, %s", name, status, stderr)
		}
		if got := <-names; got != want {
			t.Errorf("%s: the server was told %q, want %q", name, got, want)
		}
		if status, _, stderr := runHere("", "--servername", "other.example", name); status != 0 {
			t.Fatalf("%s: status %d, %s", name, status, stderr)
		}
		if got := <-names; got != "other.example" {
			t.Errorf("%s: the server was told %q, want the name of --servername", name, got)
		}
	}
}

// TestParallel: as many servers are asked at once as are promised, and no more. None answers before all of them are.
func TestParallel(t *testing.T) {
	good := issue(t, newRoot(t), ecKey(), 400)
	const parallel, targets = 16, 32 // as the manual page has it
	var asked, open, most atomic.Int32
	all := make(chan struct{})
	server := serve(t, func(conn net.Conn) {
		now := open.Add(1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		if asked.Add(1) == parallel {
			close(all)
		}
		<-all
		open.Add(-1) // the client goes on from here
		secure(good)(conn)
	})
	status, stdout, stderr := runHere("", slices.Repeat([]string{server}, targets)...)
	if status != 0 || stderr != "" || strings.Count(stdout, "\n") != targets {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	if n := most.Load(); n != parallel || maxParallel != parallel {
		t.Errorf("%d were asked at once, of up to %d, want %d", n, maxParallel, parallel)
	}
}

// TestQuits: after STARTTLS the session ends as the protocol wants it.
func TestQuits(t *testing.T) {
	good := issue(t, newRoot(t), ecKey(), 400)
	said := make(chan string, 1)
	server := serve(t, talks(func(conn net.Conn) {
		session := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{good}})
		text, _ := io.ReadAll(session)
		said <- string(text)
	}, append(ehlo("STARTTLS"), "<STARTTLS", "220 go ahead\r\n")...))
	if status, _, stderr := runHere("", "--starttls", "smtp", server); status != 0 {
		t.Errorf("status %d, %s", status, stderr)
	}
	if got := <-said; got != "QUIT\r\n" {
		t.Errorf("the server got %q", got)
	}
}

// TestGoodbye: the server is told that the session ends, by an alert.
func TestGoodbye(t *testing.T) {
	const alert = 21
	good := issue(t, newRoot(t), ecKey(), 400)
	types := make(chan []byte, 1)
	server := serve(t, func(conn net.Conn) {
		var got bytes.Buffer
		secure(good, version(tls.VersionTLS12))(tee{conn, &got})
		var all []byte
		for rest := got.Bytes(); len(rest) >= 5; rest = rest[5+min(int(binary.BigEndian.Uint16(rest[3:])), len(rest)-5):] {
			all = append(all, rest[0])
		}
		types <- all
	})
	if status, _, stderr := runHere("", server); status != 0 {
		t.Fatalf("status %d, %s", status, stderr)
	}
	if got := <-types; len(got) == 0 || got[len(got)-1] != alert {
		t.Errorf("the types of records were %d, want an alert, %d, as the last", got, alert)
	}
}

// tee is a connection whose input is kept as well.
type tee struct {
	net.Conn
	got *bytes.Buffer
}

func (c tee) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.got.Write(p[:n])
	return n, err
}

// TestWhy: of a look-up that fails the reason is said, not the addresses of the machine.
func TestWhy(t *testing.T) {
	for _, tt := range []struct {
		err  net.DNSError
		want string
	}{
		{net.DNSError{Err: "no such host", IsNotFound: true}, "no such host"},
		{net.DNSError{Err: "server misbehaving", IsTemporary: true}, "server misbehaving"},
		{net.DNSError{Err: "read udp 127.0.0.1:53607->127.0.0.9:53: i/o timeout", IsTimeout: true}, "the name server does not answer"},
		{
			net.DNSError{Err: "read udp 127.0.0.1:53607->127.0.0.9:53: read: connection refused", IsTemporary: true},
			"the name server does not answer: connection refused",
		},
	} {
		if got := why(&net.OpError{Op: "dial", Err: &tt.err}); got.Error() != tt.want {
			t.Errorf("%v: got %q, want %q", &tt.err, got, tt.want)
		}
	}
}

// TestFilesOfOthers: files of the greatest length in which much begins take no time that grows with its square; that
// would end this test by its time limit.
func TestFilesOfOthers(t *testing.T) {
	for name, text := range map[string]string{
		"begins": "-----BEGIN CERTIFICATE-----\n", "others": "-----BEGIN X-----\n-----END X-----\n", "dashes": "-",
		"sequences": "0\x00", "depth": "0\x80",
	} {
		if all, err := parse([]byte(strings.Repeat(text, maxFile/len(text)))); err == nil {
			t.Errorf("%s: %d certificates", name, len(all))
		}
	}
}
