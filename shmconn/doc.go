//go:build linux

// Package shmconn listens and dials for connections through shared memory, on a loop: for two processes of one machine
// that have more to say to each other than a socket carries, or want an answer sooner.
//
// A connection is made over a Unix socket, at a path or an abstract name as in package unixsock. From then on the bytes
// go through two rings in memory, one each way, and the kernel is only asked to wake a side that sleeps. Whatever
// package connection puts on a transport runs on it unchanged:
//
//	listener, err := shmconn.Listen(loop, "/run/demo.ring", connection.Messages(mux, connection.MessageConfig{}), shmconn.ListenConfig{})
//	...
//	conn, err := connection.DialMessages(loop, shmconn.Dialer{Path: "/run/demo.ring"}, mux, connection.MessageConfig{})
//
// A program without a loop has [Dialer.DialConn], which connection.NewBlocking can use.
//
// It is not for machines apart, see package tcp, and brings little where messages are rare: package unixsock needs
// less memory, and one descriptor instead of three. It needs Linux 5.8; before that the error is EOPNOTSUPP or EINVAL.
//
// # Records
//
// Beside streams there are records: messages with bounds of their own, written where the peer reads them. [Records]
// serves them, [DialRecords] connects, a [RecordConn] is the connection:
//
//	echo := shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error { return c.Send(record) })
//	listener, err := shmconn.Listen(loop, "/run/demo.ring", shmconn.Records(echo, shmconn.RecordConfig{}), shmconn.ListenConfig{})
//
// [RecordConn.Reserve] and [RecordConn.Commit] write without a copy, [RecordConn.Next] and [RecordConn.Release] read
// without one, [RecordConn.Stage] collects many records for one look of the peer. A record that is longer than a
// quarter of the ring has memory of its own, and keeps its place among the others. That is made, and sealed, on the
// loop: allow a millisecond for each MiB. Of records that are often that long the ring should hold four, and more:
// [Config].Capacity. A stream has no such, what is long goes through the ring in pieces. Both sides have to have the
// same, streams or records; if not the connection ends with [ErrMismatch] when the first bytes come.
//
// # A full ring
//
// Nothing grows. What a stream can't write waits in its output, within the limits of its StreamConfig, until the
// peer has made room. Reserve returns [ErrFull], and a [RoomHandler] is told when there is room; a handler of records
// that returns ErrFull isn't called until then. With RecordConfig.TryOnly nothing waits.
//
// # Memory
//
// Each side pays for what it sends: 4096 + Capacity bytes, all of it from the beginning, which both sides map. So a
// process with n connections has n × (4096 + [Config].Capacity) bytes of shared memory, and maps at most n × (4096 +
// MaxCapacity) of its peers'. Long records come on top: at most [MaxLarge] of the peer's, each up to MaxRecord, and as
// many and one of its own. Beside that a connection takes about 2 KiB, three descriptors, and two sources in the loop,
// the second in the background; one of DialConn five descriptors, two goroutines, and no loop. The memory has no name
// in any folder, and is gone when both processes are, however they have ended. Only the socket's file stays when a
// listener is killed; the next replaces it.
//
// # The other side
//
// Its end is noticed at once, by the socket: also of a process that was killed, whatever children that one has
// started with package os/exec. What it had published by then is read to the end; then the cause is [ErrPeerDied], or
// nil if it has closed in good order. Each side writes to its own memory only, and can't be made to write to the
// other's. Memory is taken only with seals against a change of its size and against writing by anybody but its owner,
// and with all of its pages there, so that nothing the other side does can make touching it fail. What it writes to its
// own is checked, each word read once: what can't be ends the connection with [ErrCorrupt], which says what it was.
// Its bell is taken only if it is an eventfd, and rung in a way that never waits.
//
// What the other side can do is keep a connection of its own busy or idle, as on a socket; and pass descriptors of
// files whose closing hangs, which then hang beside the loop, at most four at a time, while others stay open. And a
// record that lies in the ring can change while it is looked at: copy what you check, unless you trust the peer.
// Streams copy. Writing to a record that was received crashes the process: its memory can't be written.
//
// A process that forks without starting another program, as no Go program does by itself, must not touch its
// connections in the child, which doesn't have the mappings; and while the child lives its peers don't notice the
// death of the parent. They notice a Close.
//
// The two sides may be of different versions of this package, or of other programs: doc/shared-memory.md describes what
// they say to each other, and the memory. A side that speaks another version is refused with a [VersionError], on both
// sides.
package shmconn
