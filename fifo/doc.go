//go:build linux

// Package fifo brings streams over FIFOs, pipes and descriptors that the program already has.
//
// It brings transports only; what is put on them (bytes, frames, messages) comes from package
// connection. There are four of them:
//
//   - a named FIFO as a service, [Listen]: the command line of a daemon, as in
//     echo STOP > /run/demo.fifo
//   - one or two named FIFOs as a client, [Dialer]
//   - pipes and socket pairs to a child process or another loop: [ForChild], [SocketPair], [Pair]
//   - files that are open: standard input and output, a terminal: [FromFile]
//
// A one-way service that reads messages:
//
//	listener, err := fifo.Listen(loop, "/run/demo.fifo", connection.Messages(mux, connection.MessageConfig{}), fifo.ListenConfig{})
//
// It needs no other care: what it answers goes nowhere, and a line that is no message is logged and
// skipped.
//
// A FIFO has no connections that could be told apart, and no permissions but those of its file. For
// more than a few commands use package unixsock, between machines package tcp.
package fifo
