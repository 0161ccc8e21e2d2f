//go:build linux

package tcp_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// shows makes sure that a new connection gets that certificate, and returns it.
func (r *served) shows(authority *tlstest.Authority, want tls.Certificate) *tls.Conn {
	r.tb.Helper()
	conn := peerOf(r.tb, r.address, &tls.Config{RootCAs: authority.Pool(), ServerName: "127.0.0.1"})
	if got := conn.ConnectionState().PeerCertificates[0].Raw; !bytes.Equal(got, want.Certificate[0]) {
		r.tb.Error("the server shows another certificate")
	}
	echoes(r.tb, conn)
	return conn
}

// TestReload: new connections get the certificate that is in the files now, the others live on, and files that are no
// good change nothing.
func TestReload(t *testing.T) {
	authority := tlstest.NewAuthority(t)
	first, second := authority.Issue(t, "127.0.0.1"), authority.Issue(t, "127.0.0.1")
	certFile, keyFile := tlstest.Files(t, first)
	certificate, err := tcp.LoadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	r := serveTLS(t, service{config: &tls.Config{GetCertificate: certificate.ForServer}})
	old := r.shows(authority, first)

	otherCert, otherKey := tlstest.Files(t, second)
	for name, spoil := range map[string]func() error{
		"the certificate alone is replaced": func() error { return os.Rename(otherCert, certFile) },
		"nonsense":                          func() error { return os.WriteFile(certFile, []byte("nonsense"), 0o600) },
		"empty":                             func() error { return os.WriteFile(keyFile, nil, 0o600) },
		"gone":                              func() error { return os.Remove(certFile) },
	} {
		tlstest.Files(t, first, certFile, keyFile)
		tlstest.Files(t, second, otherCert, otherKey)
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		err := certificate.Reload()
		if err == nil || !strings.Contains(err.Error(), certFile) || !strings.Contains(err.Error(), keyFile) {
			t.Errorf("%s: Reload returns %v, want an error with the files' names", name, err)
		}
		if name == "gone" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v is not fs.ErrNotExist", name, err)
		}
		r.shows(authority, first)
	}

	tlstest.Files(t, second, certFile, keyFile)
	if err := certificate.Reload(); err != nil {
		t.Fatal(err)
	}
	r.shows(authority, second)
	echoes(t, old)
	if _, failed := r.counts(); failed != 0 {
		t.Errorf("%d handshakes failed", failed)
	}
}

// TestLoadCertificateFails: files that are no good from the beginning are an error.
func TestLoadCertificateFails(t *testing.T) {
	if c, err := tcp.LoadCertificate("/nonexistent/cert.pem", "/nonexistent/key.pem"); c != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadCertificate of no files: %v, %v", c, err)
	}
}

// TestReloadClient: a client's certificate can be replaced, too.
func TestReloadClient(t *testing.T) {
	clients := tlstest.NewAuthority(t)
	first, second := clients.Issue(t, "first"), clients.Issue(t, "second")
	certFile, keyFile := tlstest.Files(t, first)
	certificate, err := tcp.LoadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	names := make(chan string, 1)
	r := serveTLS(t, service{config: &tls.Config{
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool(),
		VerifyPeerCertificate: func(_ [][]byte, chains [][]*x509.Certificate) error {
			names <- chains[0][0].Subject.CommonName
			return nil
		},
	}})
	config := r.client()
	config.GetClientCertificate = certificate.ForClient
	for _, want := range []string{"first", "second"} {
		if err := r.call(tcp.Dialer{Address: r.address, TLS: config}).outcome(); err != nil {
			t.Fatal(err)
		}
		if got := <-names; got != want {
			t.Errorf("the client shows the certificate of %q, want %q", got, want)
		}
		tlstest.Files(t, second, certFile, keyFile)
		if err := certificate.Reload(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReloadConcurrent: any goroutine may reload while connections are made.
func TestReloadConcurrent(t *testing.T) {
	authority := tlstest.NewAuthority(t)
	certFile, keyFile := tlstest.Files(t, authority.Issue(t, "127.0.0.1"))
	certificate, err := tcp.LoadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	r := serveTLS(t, service{config: &tls.Config{GetCertificate: certificate.ForServer}})
	var reloads sync.WaitGroup
	defer reloads.Wait()
	for range 4 {
		reloads.Go(func() {
			for range 50 {
				if err := certificate.Reload(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		echoes(t, peerOf(t, r.address, &tls.Config{RootCAs: authority.Pool(), ServerName: "127.0.0.1"}))
	}
}
