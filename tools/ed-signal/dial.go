package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	// maxPEM bounds a file of certificates, in bytes: those of all public authorities have a fifth of that.
	maxPEM = 1 << 20
	// retry is the time between two tries to connect where the kernel doesn't wait.
	retry = 10 * time.Millisecond
)

// tlsConfig reads the certificates. It is nil without encryption.
func (s *signaller) tlsConfig() (*tls.Config, error) {
	if !bool(s.encrypt) {
		return nil, nil
	}
	host, _, _ := strings.Cut(s.target.host, "%") // certificates know no zones of addresses
	config := &tls.Config{ServerName: host, InsecureSkipVerify: bool(s.insecure)}
	if s.ca != "" {
		text, err := readFile(s.ca, maxPEM)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if len(text) > maxPEM || !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca: %s: no certificates in PEM form", s.ca)
		}
	}
	if s.cert != "" {
		own, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return nil, fmt.Errorf("--cert %s, --key %s: %w", s.cert, s.key, err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

// dial connects, with TLS if config isn't nil. The deadline of ctx holds for all that is done with the connection.
func (s *signaller) dial(ctx context.Context, config *tls.Config) (net.Conn, error) {
	s.tool.Log.WithFields(logrus.Fields{"to": s.target, "timeout": s.timeout, "tls": config != nil}).Debug("connecting")
	dialer := net.Dialer{}
	if s.target.network == typeUnixgram && bool(s.reply) {
		// Only a socket that has a name can be answered.
		dialer.LocalAddr = &net.UnixAddr{Name: "@ed-signal-" + rand.Text(), Net: typeUnixgram}
	}
	conn, err := dialer.DialContext(ctx, s.target.network, s.target.address)
	if errors.Is(err, syscall.EAGAIN) {
		// Over TCP the kernel waits.
		s.tool.Log.Debug("the socket's queue of connections is full")
	}
	for errors.Is(err, syscall.EAGAIN) {
		if err = pause(ctx); err == nil {
			conn, err = dialer.DialContext(ctx, s.target.network, s.target.address)
		}
	}
	if err != nil {
		return nil, s.explain(err, "no connection")
	}
	deadline, _ := ctx.Deadline() // zero without one, which is right for SetDeadline, too
	if err := conn.SetDeadline(deadline); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if config == nil {
		return conn, nil
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, s.explain(fmt.Errorf("%s: TLS handshake: %w", s.target.address, err), "no TLS handshake")
	}
	state := secure.ConnectionState()
	s.tool.Log.WithFields(logrus.Fields{
		"version": tls.VersionName(state.Version), "verified": !bool(s.insecure),
	}).Debug("handshake done")
	return secure, nil
}

// pause waits a bit, but not longer than ctx.
func pause(ctx context.Context) error {
	select {
	case <-time.After(retry):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send writes the message.
func (s *signaller) send(conn net.Conn, text []byte) error {
	if _, err := conn.Write(text); err != nil {
		return s.explain(err, "the message was not taken")
	}
	s.tool.Log.WithFields(logrus.Fields{"bytes": len(text), "to": conn.RemoteAddr()}).Debug("sent")
	return nil
}

// explain puts into words that the time is over: nothing says what has not happened by then.
func (s *signaller) explain(err error, nothing string) error {
	if timedOut(err) {
		return fmt.Errorf("%s: %s within %v", s.target.address, nothing, s.timeout)
	}
	return err
}

// timedOut tells whether --timeout is over, not a limit of the kernel's.
func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}
