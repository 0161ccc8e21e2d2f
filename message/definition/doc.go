// Package definition says which parameters the messages of a command have, and checks messages against it.
//
// A service loads the definitions of its messages when it starts, and gives them to its dispatcher, which then refuses
// wrong messages with INVALID before a handler sees them:
//
//	definitions, err := definition.Load(definition.Config{Path: "/usr/share/demo/messages"})
//	...
//	mux := dispatcher.New(dispatcher.Config{Definitions: definitions})
//
// Without definitions every message passes, and the typed getters of package message tell a handler the same, one
// parameter at a time. Definitions pay where several programs, or people, write to a service. They check each parameter
// for itself: what two of them have to be together is the handler's business.
//
// # Files
//
// The definition of COMMAND is the file COMMAND.conf, in the format of the C++ library eventdispatcher, one section for
// each parameter:
//
//	# Answered by USER.
//	[id]
//	description = the number of the user
//	type = integer
//	flags = required
//
//	[fields]
//	description = what to fetch, separated by semicolons
//	flags = empty
//
// Dashes in the name of a section are underscores in the name of the parameter. Other keys than these three are
// ignored, and listed in [Definition.Ignored], or in [ParseError.Ignored] when something is wrong besides.
// A section may come in several parts. A value may be put between double or single quotes. Lines that begin with # or ;
// are comments. Lines end with LF or CR LF; there is no byte order mark.
//
// The type is one of
//
//	string    any text; the default, which may also be spelled default
//	integer   what message.GetInt[int64] reads: 12, -5, 0x1F
//	address   an IP address: with a port, which Message.GetAddrPort reads, or without: 127.0.0.1:4040, ::1
//	timespec  what Message.GetTime reads: seconds with or without a fraction
//
// and flags is a list of these, separated by commas alone, without blanks:
//
//	required   the parameter has to be there
//	empty      it may be empty; then its type is not checked
//	forbidden  it must not be there; not together with required
//	optional, defined, allowed   say nothing, for people
//
// Without the key flags a parameter is required and may be empty; an empty list makes it optional, and not empty when it is
// there.
//
// Built in are the definitions of the commands of dispatcher.Mux.AddDefaults, their replies, REGISTER and UNREGISTER: the files
// of the folder messages beside this package. A file of yours comes before the built-in one.
//
// # Open and closed
//
// As in the C++ library, parameters without a definition are allowed, and so are commands without one. Closed definitions
// refuse parameters that they do not list, but not those that a message may pick up on its way: secret_code, cache
// and all that begin with broadcast_.
package definition
