// Package tlstest makes certificates for tests, connections that die or wait at a certain byte, and records that crypto/tls doesn't write.
package tlstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority issues certificates.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	serial      int64
}

// NewAuthority makes an authority that nobody else knows.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{key: newKey(tb)}
	a.certificate = a.sign(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: "an authority for tests"},
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, nil, a.key)
	return a
}

// Pool is a pool of this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// File writes the authority's own certificate to a PEM file in a folder of the test's own.
func (a *Authority) File(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "authority.pem")
	write(tb, path, "CERTIFICATE", a.certificate.Raw)
	return path
}

// Issue makes a certificate for names and IP addresses; it is valid for an hour.
func (a *Authority) Issue(tb testing.TB, names ...string) tls.Certificate {
	tb.Helper()
	return a.IssueUntil(tb, time.Now().Add(time.Hour), names...)
}

// IssueUntil is Issue with the time at which the certificate expires.
func (a *Authority) IssueUntil(tb testing.TB, end time.Time, names ...string) tls.Certificate {
	tb.Helper()
	key := newKey(tb)
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   end.Add(-24 * time.Hour), NotAfter: end,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	leaf := a.sign(tb, template, a.certificate, key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// sign makes a certificate of a template; without an issuer it signs itself.
func (a *Authority) sign(tb testing.TB, template, issuer *x509.Certificate, key crypto.Signer) *x509.Certificate {
	tb.Helper()
	a.serial++
	template.SerialNumber = big.NewInt(a.serial)
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), a.key)
	if err != nil {
		tb.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return certificate
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// Files writes a certificate and its key to PEM files in a folder of the test's own, or to those given.
func Files(tb testing.TB, c tls.Certificate, paths ...string) (certFile, keyFile string) {
	tb.Helper()
	if len(paths) == 2 {
		certFile, keyFile = paths[0], paths[1]
	} else {
		dir := tb.TempDir()
		certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	write(tb, certFile, "CERTIFICATE", c.Certificate...)
	write(tb, keyFile, "PRIVATE KEY", key)
	return certFile, keyFile
}

func write(tb testing.TB, path, kind string, blocks ...[]byte) {
	tb.Helper()
	var text []byte
	for _, block := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: block})...)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		tb.Fatal(err)
	}
}
