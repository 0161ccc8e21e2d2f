//go:build linux

// Package tcp listens and dials over TCP, IPv4 and IPv6, on a loop.
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
// Do not use it for a connection that a goroutine can block on: package net does that.
package tcp
