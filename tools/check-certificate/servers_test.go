package main

import (
	"bufio"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve has handle serve connections on a free port of this machine until the test ends, and returns localhost:PORT.
func serve(tb testing.TB, handle func(net.Conn)) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		open    = map[net.Conn]bool{}
		closed  bool
	)
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if closed {
				_ = conn.Close()
			}
			open[conn] = true
			mu.Unlock()
			running.Go(func() {
				handle(conn)
				_ = conn.Close()
				mu.Lock()
				delete(open, conn)
				mu.Unlock()
			})
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		closed = true
		for conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return localhost(listener.Addr())
}

// localhost is an address of this machine as a user gives it.
func localhost(address net.Addr) string {
	return fmt.Sprintf("localhost:%d", address.(*net.TCPAddr).Port)
}

// refused is a port on which nobody listens, and nobody will: it is the client's end of a connection.
func refused(tb testing.TB) string {
	tb.Helper()
	conn, err := net.Dial("tcp", serve(tb, ends))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return localhost(conn.LocalAddr())
}

// configure changes the settings of a server.
type configure func(*tls.Config)

// secure serves TLS with a certificate.
func secure(certificate tls.Certificate, changes ...configure) func(net.Conn) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	for _, change := range changes {
		change(config)
	}
	return func(conn net.Conn) {
		session := tls.Server(conn, config)
		if session.Handshake() == nil {
			_, _ = io.Copy(io.Discard, session)
		}
	}
}

// old is a server of the days of TLS 1.0.
func old(config *tls.Config) {
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	config.CipherSuites = []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}
}

// wantsCertificate is a server that lets nobody in without.
func wantsCertificate(version uint16) configure {
	return func(config *tls.Config) {
		config.ClientAuth, config.MinVersion, config.MaxVersion = tls.RequireAnyClientCert, version, version
	}
}

// impostor has a certificate that it has copied, and a key of its own.
func impostor(certificate tls.Certificate) tls.Certificate {
	certificate.PrivateKey = otherKey()
	return certificate
}

// noKey is in place of a key that isn't there.
type noKey struct{ public crypto.PublicKey }

func (k noKey) Public() crypto.PublicKey { return k.public }

func (noKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no key")
}

// keyless has a certificate without its key: it shows that, and then sends an alert.
func keyless(certificate tls.Certificate) tls.Certificate {
	certificate.PrivateKey = noKey{certificate.Leaf.PublicKey}
	return certificate
}

// version is a server of that version of TLS only.
func version(v uint16) configure {
	return func(config *tls.Config) { config.MinVersion, config.MaxVersion = v, v }
}

// unsigned lets of what a server of TLS 1.2 says first all through but its signed part of the key exchange, up to its
// demand for a certificate; then it sends an alert, handshake_failure, and ends the connection.
type unsigned struct{ net.Conn }

func (u unsigned) Write(p []byte) (int, error) {
	const handshake, alert, keyExchange, done = 22, 21, 12, 14
	var out []byte
	for rest := p; len(rest) > 5; {
		n := 5 + int(binary.BigEndian.Uint16(rest[3:]))
		if rest[0] == handshake && rest[5] != keyExchange && rest[5] != done {
			out = append(out, rest[:n]...)
		}
		rest = rest[n:]
	}
	_, err := u.Conn.Write(append(out, alert, 3, 3, 0, 2, 2, 40))
	record(u.Conn)
	_ = u.Close()
	return len(p), err
}

// first lets one Write through, and then ends the connection.
type first struct{ net.Conn }

func (f first) Write(p []byte) (int, error) {
	n, err := f.Conn.Write(p)
	_ = f.Close()
	return n, err
}

// says plays one side of a dialogue: a step that begins with "<" is a pattern of the line that the other side has to
// send, any other is sent. It tells whether all went that way.
func says(conn net.Conn, steps ...string) bool {
	in := bufio.NewReader(conn)
	for _, step := range steps {
		pattern, receive := strings.CutPrefix(step, "<")
		if !receive {
			if _, err := io.WriteString(conn, step); err != nil {
				return false
			}
			continue
		}
		line, err := in.ReadString('\n')
		if err != nil || !regexp.MustCompile("^"+pattern+"\r\n$").MatchString(line) {
			return false
		}
	}
	return true
}

// talks serves a dialogue and then, if next isn't nil, that.
func talks(next func(net.Conn), steps ...string) func(net.Conn) {
	return func(conn net.Conn) {
		if says(conn, steps...) && next != nil {
			next(conn)
		}
	}
}

// ends takes what else comes.
func ends(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// record takes one record of TLS.
func record(conn net.Conn) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(conn, header); err == nil {
		_, _ = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint16(header[3:])))
	}
}

// reset ends a connection at once, the rough way.
func reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

// ehlo is the dialogue of SMTP up to the list of what the server offers.
func ehlo(offers ...string) []string {
	reply := "250-mail.example greets you\r\n"
	for i, offer := range offers {
		sep := "-"
		if i == len(offers)-1 {
			sep = " "
		}
		reply += "250" + sep + offer + "\r\n"
	}
	return []string{"220-mail.example\r\n220 ready\r\n", `<EHLO \[127\.0\.0\.1\]`, reply}
}

// farm starts all servers that the scripts know, and returns where they are, by the names that the scripts have for
// them; with _ON the time at which the certificate ends, as it is shown.
func farm(tb testing.TB, root *tls.Certificate) map[string]string {
	tb.Helper()
	found := map[string]string{}
	add := func(name string, c tls.Certificate, handle func(net.Conn)) {
		found[name] = serve(tb, handle)
		found[name+"_ON"] = c.Leaf.NotAfter.UTC().Format(timeFormat)
		found[name+"_FROM"] = c.Leaf.NotBefore.UTC().Format(timeFormat)
		found[name+"_BEGIN"] = c.Leaf.NotBefore.UTC().Format("2006/01/02 15:04:05")
		found[name+"_END"] = c.Leaf.NotAfter.UTC().Format("2006/01/02 15:04:05")
	}
	plain := func(name string, handle func(net.Conn)) { found[name] = serve(tb, handle) }
	made := func(days int, edits ...edit) tls.Certificate { return issue(tb, root, ecKey(), days, edits...) }
	tls13 := func(name string, c tls.Certificate) { add(name, c, secure(c)) }

	for _, days := range []int{5, 13, 15, 400} {
		tls13(fmt.Sprintf("DAYS%d", days), made(days))
	}
	tls13("EXPIRED", made(-2))
	tls13("HOURS", made(0, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(5*time.Hour + margin) }))
	tls13("FUTURE", made(400, func(c *x509.Certificate) { c.NotBefore = in(3) }))
	tls13("WRONG", made(400, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"other.example"}, nil }))
	tls13("PURPOSE", made(400, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }))
	tls13("SELF", issue(tb, nil, ecKey(), 400, func(c *x509.Certificate) { c.Subject.CommonName = "self.example" }))
	tls13("HOSTILE", made(400, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "\x1b]0;owned\a\x1b[2Jx\nrc=0", Organization: []string{"a\u202eb", "second"}}
	}))
	intermediate := issue(tb, root, ecKey(), 3, authority("Middle \x1b[2J CA"))
	chain := issue(tb, &intermediate, ecKey(), 400)
	add("CHAIN", intermediate, secure(chain))

	good := made(400)
	for name, version := range map[string]uint16{"CLIENT12": tls.VersionTLS12, "CLIENT13": tls.VersionTLS13} {
		add(name, good, secure(good, wantsCertificate(version)))
	}
	ancient := issue(tb, root, rsaKey(), 13)
	add("OLD", ancient, secure(ancient, old))
	add("CUT", good, func(conn net.Conn) {
		secure(good, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })(first{conn})
	})

	for name, v := range map[string]uint16{"12": tls.VersionTLS12, "13": tls.VersionTLS13} {
		add("IMPOSTOR"+name, good, secure(impostor(good), version(v)))
	}
	add("KEYLESS", good, secure(keyless(good), version(tls.VersionTLS13)))
	add("UNSIGNED", good, func(conn net.Conn) { secure(good, wantsCertificate(tls.VersionTLS12))(unsigned{conn}) })
	wordless := issue(tb, root, rsaKey(), 400)
	add("OLDCLIENT", wordless, secure(wordless, old, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }))
	wordless.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.PKCS1WithSHA1}
	add("SHA1", wordless, secure(wordless, version(tls.VersionTLS12)))
	// The key is larger than what crypto/tls reads by default. Nobody has its other half.
	large := issue(tb, root, noKey{&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 9000, 1), E: 65537}}, 13)
	add("LARGE", large, secure(large))

	plain("SILENT", ends)
	plain("HANGUP", func(conn net.Conn) { record(conn) })
	plain("RESET", func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)); reset(conn) })
	plain("PLAIN", talks(ends, "220 mail.example ESMTP\r\n"))
	found["REFUSED"] = refused(tb)

	end13 := made(13)
	next := secure(end13)
	endless := func(conn net.Conn) {
		for says(conn, strings.Repeat("x", 1000)) {
		}
	}
	lines := func(line string) func(net.Conn) {
		return func(conn net.Conn) {
			for says(conn, line) {
			}
		}
	}
	add("SMTP", end13, talks(next, append(ehlo("SIZE 1", "starttls", "HELP"), "<STARTTLS", "220 go ahead\r\n")...))
	plain("SMTP_BUSY", talks(nil, "554 go away \x1b[2J\r\n"))
	plain("SMTP_NONE", talks(ends, ehlo("SIZE 1", "XSTARTTLS", "HELP")...))
	plain("SMTP_OLD", talks(ends, "220 ready\r\n", "<EHLO .*", "502 what?\r\n"))
	plain("SMTP_NO", talks(ends, append(ehlo("STARTTLS"), "<STARTTLS", "454 not now\r\n")...))
	plain("SMTP_MORE", talks(ends, append(ehlo("STARTTLS"), "<STARTTLS", "220 go ahead\r\n250 and more\r\n")...))
	plain("SMTP_TEXT", talks(func(conn net.Conn) { record(conn); says(conn, "500 what?\r\n") }, append(ehlo("STARTTLS"), "<STARTTLS", "220 go ahead\r\n")...))
	plain("SMTP_ENDLESS", endless)
	plain("SMTP_LINES", lines("220-more\r\n"))
	plain("SMTP_GARBAGE", lines("\x00\xff\x16\x03\n"))
	plain("SMTP_HANGUP", talks(nil, "220-half"))

	add("IMAP", end13, talks(next, "* OK [CAPABILITY STARTTLS] hello\r\n", "<a1 STARTTLS", "* 1 EXISTS\r\na1 ok begin\r\n"))
	plain("IMAP_NONE", talks(ends, "* OK hello\r\n", "<a1 STARTTLS", "a1 BAD what?\r\n"))
	plain("IMAP_BYE", talks(ends, "* BYE not now\r\n"))
	plain("IMAP_ODD", talks(ends, "* OK hello\r\n", "<a1 STARTTLS", "b1 OK\r\n"))
	plain("IMAP_LINES", talks(lines("* 1 EXISTS\r\n"), "* OK hello\r\n", "<a1 STARTTLS"))

	add("POP3", end13, talks(next, "+OK hello\r\n", "<STLS", "+OK\r\n"))
	plain("POP3_NONE", talks(ends, "+OK hello\r\n", "<STLS", "-ERR what?\r\n"))
	plain("POP3_ERR", talks(ends, "-ERR not now\r\n"))
	plain("POP3_ODD", talks(ends, "+OK hello\r\n", "<STLS", "OK\r\n"))
	return found
}
