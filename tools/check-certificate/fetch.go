package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

var (
	errHungUp = errors.New("the server closed the connection")
	errNoTLS  = errors.New("the server speaks no TLS")
)

// fetcher takes the certificates of servers as they are sent.
type fetcher struct {
	timeout  time.Duration // for everything
	starttls *protocol     // nil: TLS from the beginning
	log      *logrus.Logger
}

// fetch returns what the server sends, its own certificate first, at least one.
func (f *fetcher) fetch(ctx context.Context, t target) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	chain, err := f.chain(ctx, t)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("no answer within %v", f.timeout)
		}
		return nil, why(err)
	}
	return chain, nil
}

func (f *fetcher) chain(ctx context.Context, t target) (chain []*x509.Certificate, err error) {
	log := f.log.WithField("name", t.name)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", t.address())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	log.WithField("address", conn.RemoteAddr()).Debug("connected")
	// What waits for the server ends with the context.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if f.starttls != nil {
		if err := startTLS(conn, *f.starttls); err != nil {
			return nil, err
		}
	}
	secure := tls.Client(conn, &tls.Config{
		ServerName:         t.host,
		InsecureSkipVerify: true, // what doesn't verify has to be read as well, and nothing secret is sent
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       ciphers(),
		VerifyConnection: func(state tls.ConnectionState) error {
			chain = state.PeerCertificates
			log.WithFields(logrus.Fields{"tls": tls.VersionName(state.Version), "certificates": len(chain)}).Debug("certificates came")
			return nil
		},
	})
	err = secure.Handshake()
	switch {
	case len(chain) != 0 && err != nil:
		// The server may want a certificate of ours, or has other demands: its own it has shown.
		log.WithError(err).Debug("the handshake failed after the certificates came")
		return chain, nil
	case err != nil:
		return nil, err
	}
	if f.starttls != nil {
		_, _ = io.WriteString(secure, f.starttls.bye) // politeness: all is known
	}
	_ = secure.Close()
	return chain, nil
}

// ciphers are all that crypto/tls knows, also those that it finds too weak.
func ciphers() (ids []uint16) {
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		ids = append(ids, suite.ID)
	}
	return ids
}

// why cuts an error down to its reason: what was done to which address is known to who reads it.
func why(err error) error {
	var (
		lookup *net.DNSError
		path   *fs.PathError
		record tls.RecordHeaderError
		errno  syscall.Errno
	)
	switch {
	case errors.As(err, &lookup):
		return errors.New(lookup.Err)
	case errors.As(err, &record):
		return errNoTLS
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &path):
		return path.Err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errHungUp
	}
	return err
}
