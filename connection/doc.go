//go:build linux

// Package connection is what every transport needs: streams of bytes, frames, messages, datagrams,
// listening and dialling.
//
// The layers are composed, one handed to the next:
//
//	Transport        bytes in and out of one descriptor, never blocking (tcp, unixsock, ...)
//	Stream           buffers, limits, back-pressure, half-close, graceful close
//	Split            frames: anything a bufio.SplitFunc can cut
//	MessageConn      messages, one a line, for a message.Handler
//
// and beside them Datagram, and MessageDatagrams on top of it.
//
// A transport's package (tcp, unixsock) makes connections: its Listen takes a [Serve], which puts a
// layer on each accepted transport; its Dialer is handed to [DialStream] or [DialMessages]:
//
//	listener, err := tcp.Listen(loop, "127.0.0.1:4040", connection.Streams(handler, connection.StreamConfig{}), tcp.ListenConfig{})
//	conn, err := connection.DialMessages(loop, tcp.Dialer{Address: "127.0.0.1:4040"}, mux, connection.MessageConfig{})
//
// Do not use it where a blocking net.Conn and a goroutine would do.
//
// # Goroutines
//
// Everything here belongs to the goroutine of its loop. Another goroutine reaches a connection
// through communicator.Post or Do.
//
// # Who owns the bytes
//
// The bytes handed to a handler belong to the loop and are valid until the handler returns. The
// bytes handed to Write belong to the caller again when Write returns. An idle stream owns no
// buffer.
//
// # Limits
//
// No buffer or queue is unbounded; how many connections there are, only the process's limit of
// descriptors bounds so far. Each limit has a default, a field in a Config and a typed error:
// [StreamConfig.MaxInput], [StreamConfig.MaxOutput], [StreamConfig.CloseTimeout],
// [MessageDatagramConfig.MaxSend].
//
// # Errors
//
// What the kernel says reaches the user as a *net.OpError. What is used after it was closed returns
// an error for which errors.Is(err, net.ErrClosed) holds.
package connection
