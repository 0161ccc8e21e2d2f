// Package receiver is where a message of the tools goes: the address that a user gives, the limits of datagrams, the
// connection, and the secret that receivers of datagrams may want. ed-signal and ed-stop read all of these by the same
// rules.
//
//	target, err := receiver.Parse(receiver.UDP, "localhost")
//	...
//	conn, err := target.Dial(ctx, net.Dialer{})
//
// Errors have no name of a tool or an option in them: the tools put that in front.
//
// A service has its own configuration, and packages tcp, udp, unixsock and shmconn.
package receiver
