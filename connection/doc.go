//go:build linux

// Package connection is what every transport needs: streams of bytes, frames, messages, datagrams,
// listening and dialling, clients that stay and clients that wait.
//
// The layers are composed, one handed to the next:
//
//	Transport        bytes in and out of a descriptor, never blocking (tcp, TLS, unixsock, fifo)
//	Stream           buffers, limits, back-pressure, half-close, graceful close
//	Split            frames: anything a bufio.SplitFunc can cut
//	MessageConn      messages, one a line, for a message.Handler
//	Permanent        a message connection that is dialled again whenever it ends
//
// and beside them Datagram, and MessageDatagrams on top of it. [Blocking] stands apart: it sends a
// message and waits for the reply, without a loop.
//
// A transport's package (tcp, unixsock, fifo) makes connections: its Listen takes a [Serve], which puts a
// layer on each accepted transport; its Dialer is handed to [DialStream], [DialMessages] or
// [NewPermanent]:
//
//	listener, err := tcp.Listen(loop, "127.0.0.1:4040", connection.Streams(handler, connection.StreamConfig{}), tcp.ListenConfig{})
//	conn, err := connection.DialMessages(loop, tcp.Dialer{Address: "127.0.0.1:4040"}, mux, connection.MessageConfig{})
//
// Do not use it where a blocking net.Conn and a goroutine would do.
//
// # Goroutines
//
// Everything here belongs to the goroutine of its loop. Another goroutine reaches a connection
// through communicator.Post or Do. Only Blocking may be used from any goroutine.
//
// # Who owns the bytes
//
// The bytes handed to a handler belong to the loop and are valid until the handler returns. The
// bytes handed to Write belong to the caller again when Write returns. An idle stream owns no
// buffer.
//
// # Limits
//
// No buffer or queue is unbounded. Each limit has a default, a field in a Config and a typed error:
// [StreamConfig.MaxInput], [StreamConfig.MaxOutput], [StreamConfig.CloseTimeout],
// [PermanentConfig.MaxQueued], [MessageDatagramConfig.MaxSend]. Others are off unless they are set, because
// nobody but the user knows them: [StreamConfig.IdleTimeout], [StreamConfig.ReadTimeout],
// [StreamConfig.ReadRate], [ListenConfig.MaxConnections].
//
// # Errors
//
// What the kernel says reaches the user as a *net.OpError. What is used after it was closed returns
// an error for which errors.Is(err, net.ErrClosed) holds.
package connection
