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

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

const (
	// maxPEM bounds a file of certificates, in bytes: those of all public authorities have a fifth of that.
	maxPEM = 1 << 20
	// roomPause is the time between two tries to connect where the kernel doesn't wait for room.
	roomPause = 10 * time.Millisecond
)

// tlsConfig reads the certificates. It is nil without encryption.
func (s *signaller) tlsConfig(ctx context.Context) (*tls.Config, error) {
	if !bool(s.encrypt) {
		return nil, nil
	}
	host, _, _ := strings.Cut(s.target.Host, "%") // certificates know no zones of addresses
	config := &tls.Config{ServerName: host, InsecureSkipVerify: bool(s.insecure)}
	if s.ca != "" {
		text, err := s.readPEM(ctx, "ca", s.ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca: %s: no certificates in PEM form", s.ca)
		}
	}
	if s.cert != "" {
		cert, err := s.readPEM(ctx, "cert", s.cert)
		if err != nil {
			return nil, err
		}
		key, err := s.readPEM(ctx, "key", s.key)
		if err != nil {
			return nil, err
		}
		own, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s %s, %s %s: %w", s.where("cert"), s.cert, s.where("key"), s.key, err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

// readPEM reads the file of an option.
func (s *signaller) readPEM(ctx context.Context, name, file string) ([]byte, error) {
	text, err := receiver.ReadFile(ctx, file, maxPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.where(name), err)
	}
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%s: %s: longer than %d bytes", s.where(name), file, maxPEM)
	}
	return text, nil
}

// dial connects, with TLS if config isn't nil. The deadline of ctx holds for all that is done with the connection.
func (s *signaller) dial(ctx context.Context, config *tls.Config) (net.Conn, error) {
	s.tool.Log.WithFields(logrus.Fields{"to": s.target, "timeout": s.timeout, "tls": config != nil}).Debug("connecting")
	dialer := net.Dialer{}
	if s.target.Network == receiver.Unixgram && bool(s.reply) {
		// Only a socket that has a name can be answered.
		dialer.LocalAddr = &net.UnixAddr{Name: "@ed-signal-" + rand.Text(), Net: receiver.Unixgram}
	}
	conn, err := s.target.Dial(ctx, dialer)
	if errors.Is(err, syscall.EAGAIN) {
		// Over TCP the kernel waits.
		s.tool.Log.Debug("the socket's queue of connections is full")
	}
	for errors.Is(err, syscall.EAGAIN) {
		if err = pause(ctx, roomPause); err == nil {
			conn, err = s.target.Dial(ctx, dialer)
		}
	}
	if errors.Is(err, syscall.EPROTOTYPE) {
		return nil, s.otherType(err)
	}
	if timedOut(err) && s.refused != nil {
		return nil, s.nobody()
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
		return nil, s.explain(fmt.Errorf("%s: TLS handshake: %w", s.target.Address, err), "no TLS handshake")
	}
	state := secure.ConnectionState()
	s.tool.Log.WithFields(logrus.Fields{
		"version": tls.VersionName(state.Version), "verified": !bool(s.insecure),
	}).Debug("handshake done")
	return secure, nil
}

// otherType adds to the error for a Unix socket of another type how to reach it.
func (s *signaller) otherType(err error) error {
	switch s.target.Network {
	case receiver.Unixgram:
		return fmt.Errorf("%w: it is no datagram socket: use --type unix or shm", err)
	case receiver.Shm:
		return fmt.Errorf("%w: it is no ring: use --type unix or unixgram", err)
	}
	return fmt.Errorf("%w: it is no stream socket: use --type unixgram or shm", err)
}

// nobody is the error of --retry when its time is over. The refusal isn't wrapped: it is no reason for another try.
func (s *signaller) nobody() error {
	return fmt.Errorf("%s: nobody listened within %v: %v", s.target.Address, s.timeout, s.refused) //nolint:errorlint // see above
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
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
		return fmt.Errorf("%s: %s within %v", s.target.Address, nothing, s.timeout)
	}
	return err
}

// timedOut tells whether --timeout is over, not a limit of the kernel's.
func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}
