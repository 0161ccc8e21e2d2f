//go:build linux

// Package activation takes over the sockets that a service manager has opened: socket activation as
// systemd does it, sd_listen_fds(3).
//
// The manager listens, starts the service when somebody comes, and hands it the listening sockets. So
// a service can be started on demand and restarted without refusing anybody, and needs no rights for
// a port below 1024 or a folder in /run.
//
//	# demo.socket
//	[Socket]
//	ListenStream=4040
//	FileDescriptorName=commands
//
//	[Install]
//	WantedBy=sockets.target
//
//	# stats.socket; a name counts for all sockets of a unit, so each name has a unit of its own
//	[Socket]
//	ListenDatagram=4041
//	FileDescriptorName=stats
//	Service=demo.service
//
//	# demo.service
//	[Service]
//	ExecStart=/usr/bin/demo
//	Sockets=demo.socket stats.socket
//
// [Sockets] returns them; a listening stream socket, TCP or Unix, goes to connection.ListenFD, a
// datagram socket to connection.NewDatagram. Both take units with Accept=no, which is the default;
// with Accept=yes the descriptor is a connection, for connection.NewSocket.
//
// Do not use it for a program that people start by hand only: package tcp, udp and unixsock open
// sockets themselves. One that is started both ways listens by itself when Sockets returns none.
package activation
