package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

var (
	errHungUp = errors.New("the server closed the connection")
	errNoTLS  = errors.New("the server speaks no TLS")

	errNameServer = errors.New("the name server does not answer")
	errNoKey      = errors.New("the server did not show that it has the key")
	errHandshake  = errors.New("the handshake failed")
)

// fetcher takes the certificates of servers as they are sent.
type fetcher struct {
	timeout  time.Duration // for everything
	name     string        // is asked for; empty: the target's
	starttls *protocol     // nil: TLS from the beginning
	log      *logrus.Logger
}

// sent is what a server sends.
type sent struct {
	chain []*x509.Certificate // its own certificate first, at least one
	// doubt is why the certificates may be copies in the hands of somebody else; nil when they aren't. It matters to who
	// verifies them.
	doubt error
}

// fetch returns what the server sends.
func (f *fetcher) fetch(ctx context.Context, t target) (sent, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	reason := func(err error) error {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("no answer within %v", f.timeout)
		}
		return why(err)
	}
	chain, proven, err := f.chain(ctx, t)
	switch {
	case len(chain) == 0:
		return sent{}, reason(err)
	case !proven:
		return sent{chain, fmt.Errorf("%w: %w", errNoKey, reason(err))}, nil
	case err != nil && !isRemote(err):
		return sent{chain, fmt.Errorf("%w: %w", errHandshake, reason(err))}, nil
	}
	// The server may refuse who has no certificate, or have other demands: its own it has shown.
	return sent{chain: chain}, nil
}

// chain returns the certificates that came, whether the server has signed with their key, and what went wrong, which
// may be after both.
func (f *fetcher) chain(ctx context.Context, t target) (chain []*x509.Certificate, proven bool, err error) {
	log := f.log.WithField("name", t.name)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", t.address())
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	log.WithField("address", conn.RemoteAddr()).Debug("connected")
	// What waits for the server ends with the context.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if f.starttls != nil {
		if err := startTLS(conn, *f.starttls); err != nil {
			return nil, false, err
		}
	}
	secure := tls.Client(conn, &tls.Config{
		ServerName:         cmp.Or(f.name, t.host),
		InsecureSkipVerify: true, // what doesn't verify has to be read as well, and nothing secret is sent
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       ciphers(),
		VerifyConnection: func(state tls.ConnectionState) error {
			chain = state.PeerCertificates
			log.WithFields(logrus.Fields{"tls": tls.VersionName(state.Version), "certificates": len(chain)}).Debug("certificates came")
			return nil
		},
	})
	if err = secure.Handshake(); err != nil {
		if len(chain) != 0 {
			log.WithError(err).Debug("the handshake failed after the certificates came")
		}
		return chain, signed(secure.ConnectionState()), err
	}
	if f.starttls != nil {
		_, _ = io.WriteString(secure, f.starttls.bye) // politeness: all is known
	}
	_ = secure.Close()
	return chain, true, nil
}

// signed tells of a handshake that failed whether the server has shown before that it has the key. Up to TLS 1.2 it
// signs its part of the key exchange: crypto/tls sets the curve when it has checked that, and it is in this part of the
// handshake that a server refuses who has no certificate. A key exchange with RSA has no curve and proves nothing before
// its end. In TLS 1.3 the curve is known earlier, but what the server has against a client comes after the handshake.
func signed(state tls.ConnectionState) bool {
	return state.Version < tls.VersionTLS13 && state.CurveID != 0
}

// isRemote tells whether it was the server that ended a handshake, by an alert.
func isRemote(err error) bool {
	var alert *net.OpError
	return errors.As(err, &alert) && alert.Op == "remote error"
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
		return whyLookup(lookup)
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

// whyLookup is the reason of a look-up that failed. That of a name server which isn't there has both its addresses.
func whyLookup(err *net.DNSError) error {
	switch {
	case err.IsTimeout:
		return errNameServer
	case strings.Contains(err.Err, "->"):
		return fmt.Errorf("%w: %s", errNameServer, err.Err[strings.LastIndex(err.Err, ": ")+len(": "):])
	}
	return errors.New(err.Err)
}
