//go:build linux

package tcp_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// isCertificateError makes sure that a dialer's error tells of the certificate, and in what way it was bad.
func isCertificateError[T error](t *testing.T, name string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: connected", name)
		return
	}
	isHandshakeError(t, err)
	var verification *tls.CertificateVerificationError
	if !errors.As(err, &verification) || len(verification.UnverifiedCertificates) == 0 {
		t.Errorf("%s: %v (%T) is no *tls.CertificateVerificationError", name, err, err)
	}
	var want T
	if !errors.As(err, &want) {
		t.Errorf("%s: %v is no %T", name, err, want)
	}
}

// TestServerCertificates: what is wrong with a server's certificate reaches who dials, by its type; the server goes on.
func TestServerCertificates(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		authority := tlstest.NewAuthority(t)
		good := authority.Issue(t, "127.0.0.1", "localhost")
		expired := authority.IssueUntil(t, time.Now().Add(-time.Minute), "127.0.0.1", "old")
		r := serveTLS(t, service{config: ofVersion(&tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "old" {
				return &expired, nil
			}
			return &good, nil
		}}, version)})
		trusting := &tls.Config{RootCAs: authority.Pool()}
		named := func(name string) *tls.Config { return &tls.Config{RootCAs: authority.Pool(), ServerName: name} }
		_, port, _ := net.SplitHostPort(r.address)

		isCertificateError[x509.UnknownAuthorityError](t, "the zero config", r.call(tcp.Dialer{Address: r.address, TLS: &tls.Config{}}).outcome())
		isCertificateError[x509.UnknownAuthorityError](t, "another authority",
			r.call(tcp.Dialer{Address: r.address, TLS: &tls.Config{RootCAs: tlstest.NewAuthority(t).Pool()}}).outcome())
		isCertificateError[x509.HostnameError](t, "another name", r.call(tcp.Dialer{Address: r.address, TLS: named("example.org")}).outcome())
		isCertificateError[x509.HostnameError](t, "another IP address", r.call(tcp.Dialer{Address: r.address, TLS: named("127.0.0.2")}).outcome())
		isCertificateError[x509.CertificateInvalidError](t, "an expired one", r.call(tcp.Dialer{Address: r.address, TLS: named("old")}).outcome())
		r.fails(5)
		for name, d := range map[string]tcp.Dialer{
			"the IP address of Address":  {Address: r.address, TLS: trusting},
			"the host of Address":        {Address: "localhost:" + port, TLS: trusting, Options: tcp.Options{Network: "tcp4"}},
			"no host, which is this one": {Address: ":" + port, TLS: trusting},
			"ServerName":                 {Address: r.address, TLS: named("localhost")},
			"not verified, on request":   {Address: r.address, TLS: &tls.Config{InsecureSkipVerify: true}},
			"expired and not verified":   {Address: r.address, TLS: &tls.Config{InsecureSkipVerify: true, ServerName: "old"}},
		} {
			c := r.call(d)
			if err := c.outcome(); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			r.do(func() {
				state := c.stream.Transport().(*tcp.TLSConn).ConnectionState()
				if state.Version != version || !state.HandshakeComplete || len(state.PeerCertificates) != 1 {
					t.Errorf("%s: version %x, complete %v, %d certificates", name, state.Version, state.HandshakeComplete, len(state.PeerCertificates))
				}
				c.stream.Close()
			})
			if err := c.end(); err != nil {
				t.Errorf("%s: ended with %v", name, err)
			}
		}
		if trusting.ServerName != "" {
			t.Error("a dialer has written into its user's config")
		}
		if done, failed := r.counts(); done != 6 || failed != 5 {
			t.Errorf("%d handshakes done and %d failed, want 6 and 5", done, failed)
		}
	})
}

// TestClientCertificates: a server that wants a certificate gets a good one, or the connection ends, with
// a word on both sides.
func TestClientCertificates(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		clients := tlstest.NewAuthority(t)
		r := serveTLS(t, service{config: ofVersion(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool()}, version)})
		for name, c := range map[string]struct {
			certificates []tls.Certificate
			want         string
		}{
			"none":             {nil, "certificate required"},
			"another's":        {[]tls.Certificate{tlstest.NewAuthority(t).Issue(t, "me")}, ""},
			"an expired one's": {[]tls.Certificate{clients.IssueUntil(t, time.Now().Add(-time.Minute), "me")}, ""},
		} {
			config := r.client()
			config.Certificates = c.certificates
			caller := r.call(tcp.Dialer{Address: r.address, TLS: config})
			err := caller.outcome()
			if err == nil { // in TLS 1.3 the client learns of it afterwards
				err = caller.end()
			}
			var opError *net.OpError
			if !errors.As(err, &opError) || !strings.Contains(err.Error(), "remote error: tls: ") {
				t.Errorf("%s: the client's error is %v", name, err)
			}
			if version == tls.VersionTLS13 && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: the client's error is %v, want %q in it", name, err, c.want)
			}
			if failure := r.failure(); !strings.Contains(failure.Error(), "certificate") {
				t.Errorf("%s: the server's error is %v", name, failure)
			} else {
				isHandshakeError(t, failure)
			}
		}
		config := r.client()
		pair := clients.Issue(t, "me")
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		caller := r.call(tcp.Dialer{Address: r.address, TLS: config})
		if err := caller.outcome(); err != nil {
			t.Fatal(err)
		}
		r.do(func() { _, _ = io.WriteString(caller.stream, "hello") })
		if got := looptest.Await(t, caller.data, "an answer"); got != "hello" {
			t.Errorf("got %q", got)
		}
		if done, failed := r.counts(); done != 1 || failed != 3 {
			t.Errorf("%d handshakes done and %d failed, want 1 and 3", done, failed)
		}
	})
}

// TestServerNames: the server chooses by the name that the client asks for, among its certificates and
// among whole configs, and both agree on a protocol.
func TestServerNames(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		authority := tlstest.NewAuthority(t)
		a, b, c := authority.Issue(t, "a.example"), authority.Issue(t, "b.example"), authority.Issue(t, "c.example")
		special := ofVersion(&tls.Config{Certificates: []tls.Certificate{c}, NextProtos: []string{"special"}}, version)
		states := make(chan tls.ConnectionState, 1)
		r := serveTLS(t, service{
			config: ofVersion(&tls.Config{
				Certificates: []tls.Certificate{a, b}, NextProtos: []string{"second", "first"},
				GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					if hello.ServerName == "c.example" {
						return special, nil
					}
					return nil, nil
				},
			}, version),
			serve: func(loop connection.Loop, transport connection.Transport) error {
				states <- transport.(*tcp.TLSConn).ConnectionState()
				_, err := connection.NewStream(loop, transport, connection.DataFunc(echoBack), connection.StreamConfig{})
				return err
			},
		})
		for _, want := range []struct{ name, protocol string }{
			{"a.example", "second"}, {"b.example", "second"}, {"c.example", "special"},
		} {
			caller := r.call(tcp.Dialer{Address: r.address, TLS: &tls.Config{
				RootCAs: authority.Pool(), ServerName: want.name, NextProtos: []string{"first", "second", "special"},
			}})
			if err := caller.outcome(); err != nil {
				t.Fatalf("%s: %v", want.name, err)
			}
			server := looptest.Await(t, states, "the server's side")
			r.do(func() {
				state := caller.stream.Transport().(*tcp.TLSConn).ConnectionState()
				if state.NegotiatedProtocol != want.protocol || server.NegotiatedProtocol != want.protocol || server.ServerName != want.name {
					t.Errorf("%s: protocol %q, the server's %q for %q, want %q",
						want.name, state.NegotiatedProtocol, server.NegotiatedProtocol, server.ServerName, want.protocol)
				}
			})
		}
		caller := r.call(tcp.Dialer{Address: r.address, TLS: &tls.Config{RootCAs: authority.Pool(), ServerName: "a.example", NextProtos: []string{"other"}}})
		if err := caller.outcome(); err == nil || !strings.Contains(err.Error(), "no application protocol") {
			t.Errorf("without a common protocol: %v", err)
		}
		r.fails(1)
	})
}

// TestVersions: a server of one version serves the clients that have it, and tells the others.
func TestVersions(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		r := serveTLS(t, service{config: ofVersion(&tls.Config{}, version)})
		for name, other := range versions {
			caller := r.call(tcp.Dialer{Address: r.address, TLS: ofVersion(r.client(), other)})
			err := caller.outcome()
			if other == version {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if err == nil || !strings.Contains(err.Error(), "protocol version") {
				t.Errorf("%s: the client's error is %v", name, err)
			}
			if failure := r.failure(); !strings.Contains(failure.Error(), "unsupported version") {
				t.Errorf("%s: the server's error is %v", name, failure)
			}
		}
		r.goesOn()
	})
}

// TestResumption: a client with a session cache resumes, which takes a ticket that came behind the handshake.
func TestResumption(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		r := serveTLS(t, service{config: ofVersion(&tls.Config{}, version)})
		config := r.client()
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 3 {
			caller := r.call(tcp.Dialer{Address: r.address, TLS: config})
			if err := caller.outcome(); err != nil {
				t.Fatal(err)
			}
			r.do(func() { _, _ = io.WriteString(caller.stream, "hello") })
			looptest.Await(t, caller.data, "an answer") // the ticket was before it
			r.do(func() {
				if resumed := caller.stream.Transport().(*tcp.TLSConn).ConnectionState().DidResume; resumed != (i > 0) {
					t.Errorf("connection %d: resumed is %v", i, resumed)
				}
				caller.stream.Close()
			})
			if err := caller.end(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestFailuresAreLogged: without a callback the failures are in the log, once a second at most.
func TestFailuresAreLogged(t *testing.T) {
	r := serveTLS(t, service{logs: true})
	for range 20 {
		_, err := tryPeer(t, r.address, &tls.Config{ServerName: "127.0.0.1"})
		if err == nil {
			t.Fatal("connected")
		}
	}
	r.until("all failures", func() bool { return r.shakes.Failed() == 20 })
	lines := r.log.Containing("a connection was not secured")
	if len(lines) == 0 || len(lines) > 2 || !strings.Contains(lines[0], "peer=127.0.0.1:") || !strings.Contains(lines[0], "bad certificate") {
		t.Errorf("the log is %q", lines)
	}
	r.goesOn()
}
