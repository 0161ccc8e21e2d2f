//go:build linux

package tcp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// newCertificate writes a certificate that has signed itself, and its key, to a folder. A real one comes
// from an authority.
func newCertificate(dir, name string) (certFile, keyFile string, err error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	var cert, pkcs8 []byte
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err == nil {
		cert, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	}
	if err == nil {
		pkcs8, err = x509.MarshalPKCS8PrivateKey(key)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	return certFile, keyFile, errors.Join(err,
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
}

// visitor says hello and prints the answer.
type visitor struct{ listener *connection.Listener }

func (visitor) HandleOpen(s *connection.Stream) error {
	state := s.Transport().(*tcp.TLSConn).ConnectionState()
	fmt.Println(tls.VersionName(state.Version), "with", state.PeerCertificates[0].DNSNames)
	_, err := io.WriteString(s, "hello")
	return err
}

func (v visitor) HandleData(s *connection.Stream, data []byte) (consumed int, err error) {
	fmt.Println(string(data))
	s.Close()
	v.listener.Close()
	return len(data), nil
}

// An echo server and its client, both on one loop, with TLS in between.
func Example_tls() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	certFile, keyFile, err := newCertificate(dir, "echo.example")
	if err != nil {
		fmt.Println(err)
		return
	}
	certificate, err := tcp.LoadCertificate(certFile, keyFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	echo := connection.DataFunc(func(s *connection.Stream, data []byte) (consumed int, err error) {
		return s.Write(data)
	})
	listener, err := tcp.Listen(loop, "127.0.0.1:0", connection.Streams(echo, connection.StreamConfig{}), tcp.ListenConfig{
		TLS: &tls.Config{GetCertificate: certificate.ForServer},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	roots := x509.NewCertPool() // with a certificate of a known authority the zero tls.Config does
	text, err := os.ReadFile(certFile)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		fmt.Println("no certificate", err)
		return
	}
	dialer := tcp.Dialer{Address: listener.Addr().String(), TLS: &tls.Config{RootCAs: roots, ServerName: "echo.example"}}
	if _, err := connection.DialStream(loop, dialer, visitor{listener}, connection.StreamConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// TLS 1.3 with [echo.example]
	// hello
	// <nil>
}

// A certificate is replaced while the server runs: by a handler of SIGHUP, say, or a timer. Files that are
// no good change nothing.
func ExampleCertificate_Reload() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	certFile, keyFile, err := newCertificate(dir, "old.example")
	if err != nil {
		fmt.Println(err)
		return
	}
	certificate, err := tcp.LoadCertificate(certFile, keyFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	config := &tls.Config{GetCertificate: certificate.ForServer}
	show := func() {
		shown, err := config.GetCertificate(nil)
		if err == nil {
			fmt.Println(shown.Leaf.DNSNames)
		}
	}
	show()
	if err := os.Truncate(certFile, 0); err != nil {
		fmt.Println(err)
	}
	fmt.Println("failed:", certificate.Reload() != nil)
	show()
	if _, _, err := newCertificate(dir, "new.example"); err != nil {
		fmt.Println(err)
	}
	fmt.Println("failed:", certificate.Reload() != nil)
	show()
	// Output:
	// [old.example]
	// failed: true
	// [old.example]
	// failed: false
	// [new.example]
}
