// Package message is the message of the eventdispatcher services: a command, where it goes, who sent it
// and named text parameters, in one line of text.
//
//	<web1:frontend db1:store/FETCH_USER id=42;fields="name;mail"
//
// Use it with package dispatcher to write a service, or alone to talk to one: it is pure, it opens no
// socket, starts no goroutine and imports the standard library only. It is not meant for binary or nested
// data, nor as a general exchange format: a value is flat text, and a line is read as a whole.
//
// # Text form
//
//	[ '<' sender server ':' sender service ' ' ]
//	[ [ server ':' ] service '/' ] COMMAND
//	[ ' ' name '=' value { ';' name '=' value } ]
//
// Names are ASCII: a letter or an underscore, then letters, digits and underscores; a command has no lower
// case letters; a server or a service may also be one of the routing words ".", "*" and "?" (see
// [Message.SetServer]). Names are checked when they are set and when they are parsed.
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
// # Limits
//
// The package sets no limit of its own on lengths and counts; connections and datagrams do. Parsing takes
// time proportional to the length of the text (times the logarithm of the number of parameters when they are
// not sorted). A parsed message holds substrings of its text: use [strings.Clone] to keep a small value of a
// long message for long.
package message
