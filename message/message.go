package message

import (
	"bytes"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	_ fmt.Stringer   = (*Message)(nil)
	_ slog.LogValuer = (*Message)(nil)
)

// inlineParameters is how many parameters a Message holds without a further allocation. Most have fewer.
const inlineParameters = 6

// Message is a command with an optional destination, an optional sender and parameters.
//
// Build one with [New], read one with [Parse] or a [Parser]; the zero Message has no command and can only be
// unmarshalled into. The setters return the Message so that calls can be chained; what they refuse
// is not stored, and the first refusal is kept for [Message.Err] and for whoever sends the Message.
//
// A Message must not be copied by value: use [Message.Clone]. Several goroutines may read it at once, as
// long as none changes it.
type Message struct {
	_ noCopy

	command         string
	server          string
	service         string
	sentFromServer  string
	sentFromService string

	// The parameters, sorted by name: inline[:count], or more once they did not fit.
	count  int
	inline [inlineParameters]parameter
	more   []parameter

	loose bool // Parser.Lenient let a name through
	err   *Error
}

type parameter struct {
	name, value string
}

// noCopy makes go vet report copies of the struct it is in.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// New returns a message with this command and nothing else. A bad command is reported by [Message.Err].
func New(command string) *Message {
	m := new(Message)
	if reason := checkCommand(command); reason != "" {
		return m.refuse(fieldCommand, command, reason)
	}
	m.command = command
	return m
}

// Clone returns an independent copy of m, its error included.
func (m *Message) Clone() *Message {
	c := new(Message)
	c.take(m)
	c.more = slices.Clone(m.more)
	return c
}

// take makes m what from is. They share the parameters that are not inline.
func (m *Message) take(from *Message) {
	m.command = from.command
	m.server = from.server
	m.service = from.service
	m.sentFromServer = from.sentFromServer
	m.sentFromService = from.sentFromService
	m.count = from.count
	m.inline = from.inline
	m.more = from.more
	m.loose = from.loose
	m.err = from.err
}

// Equal reports whether both have the same command, destination, sender and parameters. What was refused does
// not count.
func (m *Message) Equal(other *Message) bool {
	return m.command == other.command && m.server == other.server && m.service == other.service &&
		m.sentFromServer == other.sentFromServer && m.sentFromService == other.sentFromService &&
		slices.Equal(m.parameters(), other.parameters())
}

// Err returns the first thing that [New] or a setter refused, an [*Error] around [ErrName] or [ErrValue], or nil.
// A Message with an error can't be sent.
func (m *Message) Err() error {
	if m.err == nil {
		return nil // not a nil *Error in an error
	}
	return m.err
}

func (m *Message) refuse(field, name, reason string) *Message {
	return m.refuseAs(ErrName, field, name, reason)
}

func (m *Message) refuseAs(err error, field, name, reason string) *Message {
	if m.err == nil {
		m.err = &Error{Offset: -1, Field: field, Name: name, Reason: reason, Err: err}
	}
	return m
}

// Command returns the command, "" only when it was refused or never set.
func (m *Message) Command() string { return m.command }

// Server returns the server of the destination, "" when there is none.
func (m *Message) Server() string { return m.server }

// Service returns the service of the destination, "" when there is none.
func (m *Message) Service() string { return m.service }

// SentFromServer returns the server of the sender, "" when there is none.
func (m *Message) SentFromServer() string { return m.sentFromServer }

// SentFromService returns the service of the sender, "" when there is none.
func (m *Message) SentFromService() string { return m.sentFromService }

// SetServer sets the server the message is for: a name, "." (this server), "?" (the servers of the private
// network), "*" (every server) or "" (none). Without a service it is not sent.
func (m *Message) SetServer(name string) *Message {
	if reason := checkAddress(name); reason != "" {
		return m.refuse(fieldServer, name, reason)
	}
	m.server = name
	return m
}

// SetService sets the service the message is for: a name, "." (the services of this server), "?" (those of
// the private network), "*" (all of them) or "" (none: whoever receives it).
func (m *Message) SetService(name string) *Message {
	if reason := checkAddress(name); reason != "" {
		return m.refuse(fieldService, name, reason)
	}
	m.service = name
	return m
}

// SetSentFromServer sets the server of the sender, a name or "". Mind that host names often are not names:
// they may hold dashes and dots.
func (m *Message) SetSentFromServer(name string) *Message {
	if reason := checkSender(name); reason != "" {
		return m.refuse(fieldSentFromServer, name, reason)
	}
	m.sentFromServer = name
	return m
}

// SetSentFromService sets the service of the sender, a name or "".
func (m *Message) SetSentFromService(name string) *Message {
	if reason := checkSender(name); reason != "" {
		return m.refuse(fieldSentFromService, name, reason)
	}
	m.sentFromService = name
	return m
}

// ReplyTo addresses m to the sender of request, or to nobody when request does not name one.
func (m *Message) ReplyTo(request *Message) *Message {
	m.server = request.sentFromServer
	m.service = request.sentFromService
	m.loose = m.loose || request.loose
	return m
}

// Reply returns a new message addressed to the sender of m. It does not say who sends it.
func (m *Message) Reply(command string) *Message {
	return New(command).ReplyTo(m)
}

// ReplyInvalid returns the reply to a message that is understood but wrong: INVALID with the command of m, and the reason,
// for people.
func (m *Message) ReplyInvalid(reason string) *Message {
	return m.Reply(CommandInvalid).Set(ParameterCommand, m.command).Set(ParameterMessage, reason)
}

// Set adds a parameter, or replaces its value. The value is any text; what can't be written is reported
// when the message is, by [Message.AppendText].
func (m *Message) Set(name, value string) *Message {
	if reason := checkParameter(name); reason != "" {
		return m.refuse(fieldParameter, name, reason)
	}
	i, found := m.find(name)
	if found {
		m.parameters()[i].value = value
	} else {
		m.insert(i, parameter{name, value})
	}
	return m
}

// Has reports whether the parameter is there. Its value may be empty.
func (m *Message) Has(name string) bool {
	_, found := m.find(name)
	return found
}

// Get returns the value of a parameter, "" when it is missing.
func (m *Message) Get(name string) string {
	value, _ := m.Lookup(name)
	return value
}

// Lookup returns the value of a parameter, and whether it is there: a value may be empty.
func (m *Message) Lookup(name string) (value string, found bool) {
	if m.more == nil { // few are found sooner by equality, which mostly looks at the lengths only
		for i := range m.inline[:m.count] {
			if m.inline[i].name == name {
				return m.inline[i].value, true
			}
		}
		return "", false
	}
	i, found := m.find(name)
	if !found {
		return "", false
	}
	return m.more[i].value, true
}

// Delete removes a parameter. It does nothing when the parameter is missing.
func (m *Message) Delete(name string) {
	i, found := m.find(name)
	switch {
	case !found:
	case m.more != nil:
		m.more = slices.Delete(m.more, i, i+1)
	default:
		copy(m.inline[i:], m.inline[i+1:m.count])
		m.count--
		m.inline[m.count] = parameter{}
	}
}

// Len returns the number of parameters.
func (m *Message) Len() int { return len(m.parameters()) }

// Parameters yields the names and values in the byte order of the names. The message must not be changed
// meanwhile.
func (m *Message) Parameters() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, p := range m.parameters() {
			if !yield(p.name, p.value) {
				return
			}
		}
	}
}

func (m *Message) parameters() []parameter {
	if m.more != nil {
		return m.more
	}
	return m.inline[:m.count]
}

// size returns about how many bytes m takes in either form.
func (m *Message) size() int {
	const keys = 128 // of JSON
	n := keys + len(m.sentFromServer) + len(m.sentFromService) + len(m.server) + len(m.service) + len(m.command)
	for _, p := range m.parameters() {
		n += len(p.name) + len(p.value) + len(`"":"",`)
	}
	return n
}

// find returns where the parameter is, or where it would be inserted.
func (m *Message) find(name string) (i int, found bool) {
	list := m.parameters()
	low, high := 0, len(list)
	if high > 0 && list[high-1].name < name {
		return high, false // who adds them in order does not search
	}
	for low < high {
		middle := (low + high) / 2
		if list[middle].name < name {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(list) && list[low].name == name
}

// insert puts a parameter at position i, which is where its name belongs except while parsing.
func (m *Message) insert(i int, p parameter) {
	if m.more == nil {
		if m.count < inlineParameters {
			if i < m.count {
				copy(m.inline[i+1:], m.inline[i:m.count])
			}
			m.inline[i] = p
			m.count++
			return
		}
		m.more = append(make([]parameter, 0, 4*inlineParameters), m.inline[:]...)
	}
	m.more = slices.Insert(m.more, i, p)
}

// sort puts the parameters in order after parsing; of several with the same name the last stays.
func (m *Message) sort() {
	list := m.parameters()
	slices.SortStableFunc(list, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	kept := 0
	for i, p := range list {
		if i+1 < len(list) && list[i+1].name == p.name {
			continue
		}
		list[kept] = p
		kept++
	}
	clear(list[kept:])
	if m.more != nil {
		m.more = m.more[:kept]
	} else {
		m.count = kept
	}
}

// String returns the text form for people and logs, in one line of printable characters: it never fails, it hides the value
// of the parameter secret_code, it has other characters, and bytes that are no UTF-8, as `\x1b` or `\u202e`, and it ends with
// the error of m, if any. Use [Message.MarshalText] for what is sent.
func (m *Message) String() string {
	b, _ := m.appendText(nil, true)
	if m.err != nil {
		b = append(append(append(b, " ["...), m.err.Error()...), ']')
	}
	if utf8.Valid(b) && bytes.IndexFunc(b, isHidden) < 0 {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&s, `\x%02x`, b[0])
		case !isHidden(r):
			s.Write(b[:size])
		case r < utf8.RuneSelf:
			fmt.Fprintf(&s, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&s, `\u%04x`, r)
		default:
			fmt.Fprintf(&s, `\U%08x`, r)
		}
		b = b[size:]
	}
	return s.String()
}

func isHidden(r rune) bool { return !unicode.IsPrint(r) }

// maxLogged is the most bytes of a message in a log: peers choose how long it is.
const maxLogged = 1000

// LogValue returns [Message.String] for package log/slog, of which it cuts what is longer than a thousand bytes.
func (m *Message) LogValue() slog.Value {
	s := m.String()
	if len(s) > maxLogged {
		s = fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(s[:maxLogged], ""), len(s))
	}
	return slog.StringValue(s)
}
