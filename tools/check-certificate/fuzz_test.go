package main

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"
)

// FuzzFile: no file makes the program fail, lose a certificate silently, or print what a terminal obeys. The certificate
// that may not be lost stands between whatever there is, in PEM as it is or without the line feeds.
func FuzzFile(f *testing.F) {
	root := newRoot(f)
	leaf := issue(f, root, ecKey(), 400)
	between, other := pemOf(leaf.Certificate[0]), pemOf(root.Certificate[0])
	f.Add(leaf.Certificate[0], []byte{})
	f.Add(other, other)
	f.Add(other, []byte("x "))
	f.Add([]byte("x "), other)
	f.Add([]byte("\ufeff"), other)
	f.Add(append(bytes.Clone(other), "\ufeff"...), other)
	f.Add(root.Certificate[0], other)
	f.Add([]byte("-----BEGIN X-----\n"), append([]byte("-----END X-----\n"), other...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), []byte{})
	f.Fuzz(func(t *testing.T, before, after []byte) {
		for name, text := range map[string][]byte{
			"PEM": between, "CR": bytes.ReplaceAll(between, []byte("\n"), []byte("\r")), "CRLF": bytes.ReplaceAll(between, []byte("\n"), []byte("\r\n")),
			"cut at the beginning": between[1:], "cut at the end": between[:len(between)-len("-----\n")],
		} {
			all, err := parse(slices.Concat(before, text, after))
			if err == nil && !slices.ContainsFunc(all, leaf.Leaf.Equal) {
				t.Errorf("%s: the certificate is not among the %d read", name, len(all))
			}
		}
		data := slices.Concat(before, after)
		all, err := parse(data)
		if (err == nil) != (len(all) > 0) {
			t.Fatalf("%d certificates, %v", len(all), err)
		}
		for _, option := range []string{"--info", "--json"} {
			_, stdout, stderr := runHere(string(data), option, "--file", "-")
			if !printable(stdout) || !printable(stderr) {
				t.Fatalf("%s printed %q, %q", option, stdout, stderr)
			}
		}
	})
}

// printable tells whether a text is lines that do nothing to a terminal.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
}

// FuzzTarget: a name is refused, or can be dialled and shown.
func FuzzTarget(f *testing.F) {
	for _, text := range []string{"example.com:1", "[::1]:443", "::1", "a:b:c", "[fe80::1%eth0]", "::1%gth0]", "[::1%[a]", "]", "a]:1", "a%b", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		server, err := newServer(text, "443")
		if err != nil {
			return
		}
		host, port, err := net.SplitHostPort(server.address())
		if err != nil || host != server.host || port != server.port || host == "" || server.hostname() == "" || !printable(text) {
			t.Errorf("%q: %+v, %v", text, server, err)
		}
	})
}

// script is a server that sends a text, whatever it is told.
type script struct {
	net.Conn
	in   io.Reader
	sent bytes.Buffer
}

func (s *script) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error) { return s.sent.Write(p) }
func (s *script) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

// FuzzStartTLS: whatever a server sends, in whatever pieces, the outcome is the same, and the end comes.
func FuzzStartTLS(f *testing.F) {
	f.Add("220-a\r\n220 b\r\n250-c\r\n250 STARTTLS\r\n220 go\r\n")
	f.Add("* OK a\r\n* b\r\na1 OK\r\n")
	f.Add("+OK a\n+OK\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name, p := range protocols() {
			whole, pieces := &script{in: strings.NewReader(text)}, &script{in: iotest.OneByteReader(strings.NewReader(text))}
			one, two := p.start(newTalk(whole)), p.start(newTalk(pieces))
			if (one == nil) != (two == nil) || one != nil && one.Error() != two.Error() {
				t.Errorf("%s: %v at once, %v in pieces", name, one, two)
			}
			if !bytes.Equal(whole.sent.Bytes(), pieces.sent.Bytes()) {
				t.Errorf("%s: said %q and %q", name, &whole.sent, &pieces.sent)
			}
		}
	})
}
