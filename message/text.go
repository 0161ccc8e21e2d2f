package message

import (
	"encoding"
	"strings"
)

var (
	_ encoding.TextAppender  = (*Message)(nil)
	_ encoding.TextMarshaler = (*Message)(nil)
)

// Byte classes of values and of the space around a message.
const (
	blank    = 1 << iota // what is trimmed around a message
	special              // never written as it is
	splitter             // only written between quotes
	nul
)

var textClass = [256]uint8{
	0:    nul | special,
	' ':  blank,
	'\t': blank,
	'\v': blank,
	'\f': blank,
	'\n': blank | special,
	'\r': blank | special,
	'\\': special,
	';':  splitter,
}

// parseText reads the text form, which begins at text[start].
func (r *reader) parseText(text string, start int) error {
	start, err := r.parseSender(text, start)
	if err != nil {
		return err
	}
	start, err = r.parseDestination(text, start)
	if err != nil {
		return err
	}
	return r.parseParameters(text, start)
}

// parseSender reads `<server:service ` at text[at:], if it is there, and returns where the rest starts.
func (r *reader) parseSender(text string, at int) (next int, err error) {
	if text[at] != '<' {
		return at, nil
	}
	at++
	space := strings.IndexByte(text[at:], ' ')
	if space < 0 {
		return 0, syntaxError(len(text), "a sender without a command")
	}
	server, service, found := strings.Cut(text[at:at+space], ":")
	if !found {
		return 0, syntaxError(at+space, "a sender without a colon")
	}
	if err := r.setSentFromServer(at, server); err != nil {
		return 0, err
	}
	if err := r.setSentFromService(at+len(server)+1, service); err != nil {
		return 0, err
	}
	return at + space + 1, nil
}

// parseDestination reads `server:service/COMMAND` and the space after it, and returns where the rest starts.
// Separators that are left in a name are refused even when names are lenient, as by the C++ library.
func (r *reader) parseDestination(text string, at int) (next int, err error) {
	head := text[at:]
	if space := strings.IndexByte(head, ' '); space >= 0 {
		head = head[:space]
	}
	next = min(at+len(head)+1, len(text))

	if server, rest, found := strings.Cut(head, ":"); found {
		if server == "" || strings.IndexByte(server, '/') >= 0 {
			return 0, nameError(at, fieldServer, server, reasonAddress)
		}
		if err := r.setServer(at, server); err != nil {
			return 0, err
		}
		at, head = at+len(server)+1, rest
	}
	if service, rest, found := strings.Cut(head, "/"); found {
		if service == "" || strings.IndexByte(service, ':') >= 0 {
			return 0, nameError(at, fieldService, service, reasonAddress)
		}
		if err := r.setService(at, service); err != nil {
			return 0, err
		}
		at, head = at+len(service)+1, rest
	}
	if r.lenient && strings.ContainsAny(head, ":/") {
		return 0, nameError(at, fieldCommand, head, reasonCommand)
	}
	return next, r.setCommand(at, head)
}

// parseParameters reads `name=value;name=value`, with an optional semicolon at the end.
func (r *reader) parseParameters(text string, at int) error {
	for at < len(text) {
		equal := at
		for equal < len(text) && nameClass[text[equal]] != 0 {
			equal++
		}
		if equal == len(text) || text[equal] != '=' || equal == at || nameClass[text[at]] == digit {
			return badParameter(text, at)
		}
		name := text[at:equal]
		value, next, err := parseValue(text, equal+1)
		if err != nil {
			return err
		}
		if err := r.addParameter(at, name, "", value); err != nil {
			return err
		}
		at = next
	}
	return nil
}

// badParameter returns what is wrong with the name at text[at:].
func badParameter(text string, at int) error {
	name, _, found := strings.Cut(text[at:], "=")
	if !found {
		return syntaxError(at, "a parameter without an equal sign")
	}
	reason := checkParameter(name)
	if strings.Contains(text[:at], ParameterSecretCode+"=") {
		name = "(hidden)" // it may be a piece of the secret
	}
	return nameError(at, fieldParameter, name, reason)
}

// parseValue reads a value and the semicolon after it, and returns where the next parameter starts.
func parseValue(text string, at int) (value string, next int, err error) {
	if at == len(text) || text[at] != '"' {
		end, escaped := at, false
		for end < len(text) && text[end] != ';' {
			escaped = escaped || text[end] == '\\'
			end++
		}
		value = text[at:end]
		if escaped {
			value = unescape(value, false)
		}
		return value, min(end+1, len(text)), nil
	}

	// The C++ library looks at one backslash only, hence so does this.
	end := at + 1
	for {
		i := strings.IndexByte(text[end:], '"')
		if i < 0 {
			return "", 0, syntaxError(at, "no closing quote")
		}
		if end += i; text[end-1] != '\\' {
			break
		}
		end++
		for end+1 < len(text) && text[end] == '\\' && text[end+1] == '"' { // they often come in a row
			end += 2
		}
	}
	value, next = text[at+1:end], end+1
	if next < len(text) {
		if text[next] != ';' {
			return "", 0, syntaxError(next, "no semicolon after a closing quote")
		}
		next++
	}
	if strings.IndexByte(value, '\\') >= 0 {
		value = unescape(value, true)
	}
	return value, next, nil
}

// unescape undoes the backslashes of a value, between quotes also those in front of quotes.
func unescape(s string, quoted bool) string {
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i:]
		for len(s) > 1 && s[0] == '\\' { // they often come in a row
			switch c := s[1]; {
			case quoted && c == '"':
				b.WriteByte('"')
			case c == '\\':
				b.WriteByte('\\')
			case c == 'n':
				b.WriteByte('\n')
			case c == 'r':
				b.WriteByte('\r')
			default:
				b.WriteByte('\\')
				b.WriteByte(c)
			}
			s = s[2:]
		}
		if s == `\` {
			b.WriteByte('\\')
			return b.String()
		}
	}
}

// AppendText appends the text form to b, without a line feed at the end. It allocates only to grow b, unless
// [Parser.Lenient] let names through: then it makes sure that the text is read back the same. The
// error is that of [Message.Err], or an [*Error] around [ErrName] (no command) or [ErrUnsendable]; then b is
// returned as it was.
func (m *Message) AppendText(b []byte) ([]byte, error) {
	if m.err != nil {
		return b, m.err
	}
	if m.command == "" {
		return b, nameError(-1, fieldCommand, "", reasonMissing)
	}
	start := len(b)
	b, err := m.appendText(b, false)
	if err == nil && m.loose && !m.isText(string(b[start:])) {
		return b[:start], &Error{Offset: -1, Reason: "names that the text form can't carry", Err: ErrUnsendable}
	}
	return b, err
}

// isText reports whether text, the text form of m, is read back as m. It is asked for names that [Parser.Lenient]
// let through: whatever they hold, they must not look like something else, nor like two messages.
func (m *Message) isText(text string) bool {
	if strings.IndexByte(text, '\n') >= 0 {
		return false
	}
	parser := Parser{Lenient: true, MaxSize: -1, MaxParameters: -1, MaxName: -1}
	again, err := parser.Parse(text)
	if err != nil {
		return false
	}
	if m.service == "" {
		again.server = m.server // which is not written
	}
	return m.Equal(again)
}

// MarshalText returns what [Message.AppendText] appends.
func (m *Message) MarshalText() ([]byte, error) {
	b, err := m.AppendText(make([]byte, 0, m.size()))
	if err != nil {
		return nil, err
	}
	return b, nil
}

// appendText appends the text form. For logs it hides secrets and refuses nothing.
func (m *Message) appendText(b []byte, forLog bool) ([]byte, error) {
	length := len(b)
	if m.sentFromServer != "" || m.sentFromService != "" {
		b = append(b, '<')
		b = append(b, m.sentFromServer...)
		b = append(b, ':')
		b = append(b, m.sentFromService...)
		b = append(b, ' ')
	}
	if m.service != "" {
		if m.server != "" {
			b = append(b, m.server...)
			b = append(b, ':')
		}
		b = append(b, m.service...)
		b = append(b, '/')
	}
	b = append(b, m.command...)

	list := m.parameters()
	separator := byte(' ')
	for i := range list {
		name, value := list[i].name, list[i].value
		if forLog && name == ParameterSecretCode {
			value = "(hidden)"
		}
		b = append(b, separator)
		b = append(b, name...)
		b = append(b, '=')
		var reason string
		b, reason = appendValue(b, value, i == len(list)-1)
		if reason != "" && !forLog {
			return b[:length], &Error{Offset: -1, Field: fieldParameter, Name: name, Reason: reason, Err: ErrUnsendable}
		}
		separator = ';'
	}
	return b, nil
}

// appendValue appends a value, and says why it can't be read back, if so. White space at the end of the last
// value would be taken for white space around the message, hence the quotes.
func appendValue(b []byte, value string, last bool) (_ []byte, reason string) {
	if value == "" {
		return b, ""
	}
	var class uint8
	for i := range len(value) {
		class |= textClass[value[i]]
	}
	end := value[len(value)-1]
	quoted := class&splitter != 0 || value[0] == '"' || last && textClass[end]&(blank|special) == blank
	if !quoted && class&special == 0 {
		return append(b, value...), ""
	}

	switch {
	case class&nul != 0:
		reason = "a NUL byte in the value"
	case quoted && end == '\\':
		reason = "a value that needs quotes can't end with a backslash"
	}
	if quoted {
		b = append(b, '"')
	}
	for i := range len(value) {
		switch c := value[i]; {
		case c == '\\' || c == '"' && quoted:
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, c)
		}
	}
	if quoted {
		b = append(b, '"')
	}
	return b, reason
}
