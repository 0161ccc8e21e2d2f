//go:build linux

// Package tcp listens and dials over TCP, IPv4 and IPv6, on a loop, with or without TLS.
//
// It brings transports only; what is put on them (bytes, frames, messages) comes from package
// connection:
//
//	loop, err := communicator.New(communicator.Config{})
//	...
//	listener, err := tcp.Listen(loop, "127.0.0.1:4040", connection.Streams(handler, connection.StreamConfig{}), tcp.ListenConfig{})
//	...
//	stream, err := connection.DialStream(loop, tcp.Dialer{Address: "127.0.0.1:4040"}, handler, connection.StreamConfig{})
//
// # TLS
//
// A tls.Config in [ListenConfig.TLS] or [Dialer.TLS] secures the connections, versions 1.2 and 1.3, by
// package crypto/tls. The rest stays as it is:
//
//	certificate, err := tcp.LoadCertificate("cert.pem", "key.pem")
//	...
//	config := tcp.ListenConfig{TLS: &tls.Config{GetCertificate: certificate.ForServer}}
//	listener, err := tcp.Listen(loop, ":4040", serve, config)
//	...
//	stream, err := connection.DialStream(loop, tcp.Dialer{Address: "db1:4040", TLS: &tls.Config{}}, handler, connection.StreamConfig{})
//
// A client verifies the server's certificate and its name, unless the config says otherwise. A handshake
// runs on a goroutine, of which there is a bounded number, and bounded in what they compute at the same time: see
// [HandshakeConfig]. What follows runs on the loop. [ServeTLS] secures connections from elsewhere, such
// as a Unix socket. What a stream runs on is a [TLSConn], which knows the peer's certificates.
//
// An idle TLS connection costs some kilobytes, which crypto/tls keeps; one byte of output costs a record.
//
// Do not use this package for a connection that a goroutine can block on: package net does that.
package tcp
