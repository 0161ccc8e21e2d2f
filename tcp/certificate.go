//go:build linux

package tcp

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// Certificate is a certificate with its key from two files, which can be read again while it is in use.
// All its methods may be called from any goroutine.
//
//	certificate, err := tcp.LoadCertificate("cert.pem", "key.pem")
//	...
//	config := &tls.Config{GetCertificate: certificate.ForServer}
//	...
//	err = certificate.Reload() // on SIGHUP, say
type Certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

// LoadCertificate reads a certificate, with its chain, and its key from PEM files.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files again. New connections get what is in them now, the others keep what they
// have. On an error all stays as it was: the files don't match, say, because only one has been replaced yet.
func (c *Certificate) Reload() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("tcp: certificate %s, key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current.Store(&pair)
	return nil
}

// ForServer is for GetCertificate of a tls.Config.
func (c *Certificate) ForServer(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// ForClient is for GetClientCertificate of a tls.Config.
func (c *Certificate) ForClient(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}
