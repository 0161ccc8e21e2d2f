// Package message is the message of the eventdispatcher services: a command, where it goes, who sent it
// and named text parameters, in one line of text.
//
//	<web1:frontend db1:store/FETCH_USER id=42;fields="name;mail"
//
// Use it with package dispatcher to write a service, or alone to talk to one: it opens no socket, starts no goroutine
// and imports the standard library only. It is not meant for nested data, nor as a general exchange format: a value is
// flat text, and a line is read as a whole. Package definition, beside it, says which parameters a command has.
//
// # Text form
//
//	[ '<' sender server ':' sender service ' ' ]
//	[ [ server ':' ] service '/' ] COMMAND
//	[ ' ' name '=' value { ';' name '=' value } ]
//
// Names are ASCII: a letter or an underscore, then letters, digits and underscores; a command has no lower
// case letters; a server or a service may also be one of the routing words ".", "*" and "?" (see
// [Message.SetServer]). Names are checked when they are set and when they are parsed; [Parser.Lenient] lets
// others through.
//
// A value is any bytes but NUL. When written, a backslash, a line feed and a carriage return become `\\`,
// `\n` and `\r`. A value is put between double quotes, its own quotes written `\"`, when it holds a
// semicolon, starts with a quote, or is the last of the line and ends in white space. Parameters are written
// in the byte order of their names.
//
// What is written is read back the same, by this package and by the C++ library eventdispatcher. That
// library can't read two kinds of values: with a NUL byte, or ending in a backslash while needing quotes.
// Writing one is [ErrUnsendable].
//
// One thing is not written, as in the C++ library: a server without a service.
//
// # JSON
//
//	{"sent-from-server":"web1","sent-from-service":"frontend","server":"db1","service":"store",
//	 "command":"FETCH_USER","parameters":{"fields":"name;mail","id":"42"}}
//
// [Parse] and the connections read this form as well, but services send text: the JSON form (RFC 8259) is for programs
// that have no other, such as scripts. All keys but command may be missing; keys that are not known are ignored if their
// values are strings. A parameter may be a string, a number, which keeps its digits, true, false, or null, which is an
// empty value. Parameters are written as strings, unless [JSONOptions] ask for numbers. A value that is not UTF-8 is
// [ErrUnsendable] in this form; a NUL byte is not.
//
// The JSON that the C++ library writes for a message with a service is not valid. It reads ours, but decodes
// backslashes in values twice: send such values as text.
//
// # Values
//
// A value is a string, and there are setters and getters for other types: integers ([Message.SetInt], [Message.SetUint],
// [GetInt]), booleans, bytes, times and durations, IP addresses with ports, paths of Unix sockets. A getter says
// [ErrMissing] when the parameter is not there and [ErrValue] when it is something else.
//
// # Limits
//
// Parsing refuses more than 1 MiB, 1000 parameters, and names of more than 255 bytes with [ErrLimit]; a [Parser] has
// other limits. Nothing limits what is written, but connections and datagrams do. Parsing takes time proportional to the
// length of the text (times the logarithm of the number of parameters when they are not sorted). A parsed message holds
// substrings of its text: use [strings.Clone] to keep a small value of a long message for long.
package message
