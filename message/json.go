package message

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"
)

var _ json.Marshaler = (*Message)(nil)

// The keys of the JSON form, in the order in which they are written.
const (
	keySentFromServer  = "sent-from-server"
	keySentFromService = "sent-from-service"
	keyServer          = "server"
	keyService         = "service"
	keyCommand         = "command"
	keyParameters      = "parameters"
)

// JSONOptions say how JSON is written. The zero value writes what is read back the same everywhere.
type JSONOptions struct {
	// Numbers writes values that are JSON numbers, true and false without quotes, as the C++ library does. Mind
	// that what reads it may change their digits.
	Numbers bool
}

const reasonUTF8 = "JSON can't hold what is not UTF-8"

// MarshalJSON returns what [Message.AppendJSON] appends with the zero JSONOptions.
func (m *Message) MarshalJSON() ([]byte, error) {
	b, err := m.AppendJSON(nil, JSONOptions{})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// AppendJSON appends the JSON form to b, in one line without a line feed at the end. It allocates only to grow b.
// The error is that of [Message.Err], or an [*Error] around [ErrName] (no command) or [ErrUnsendable] (not
// UTF-8); then b is returned as it was.
func (m *Message) AppendJSON(b []byte, o JSONOptions) ([]byte, error) {
	if m.err != nil {
		return b, m.err
	}
	if m.command == "" {
		return b, nameError(-1, fieldCommand, "", reasonMissing)
	}
	w := jsonWriter{b: slices.Grow(b, m.size()), separator: '{'}
	for _, f := range [...]struct{ field, key, name string }{
		{fieldSentFromServer, keySentFromServer, m.sentFromServer},
		{fieldSentFromService, keySentFromService, m.sentFromService},
		{fieldServer, keyServer, m.server},
		{fieldService, keyService, m.service},
		{fieldCommand, keyCommand, m.command},
	} {
		if f.name == "" || f.field == fieldServer && m.service == "" { // as in the text form
			continue
		}
		if w.member(f.key, f.name); w.broken {
			return b, &Error{Offset: -1, Field: f.field, Name: f.name, Reason: reasonUTF8, Err: ErrUnsendable}
		}
	}
	if list := m.parameters(); len(list) > 0 {
		w.key(keyParameters)
		w.separator = '{'
		for i := range list {
			name, value := list[i].name, list[i].value
			if o.Numbers && isBare(value) {
				w.key(name)
				w.b = append(w.b, value...)
			} else {
				w.member(name, value)
			}
			if w.broken {
				return b, &Error{Offset: -1, Field: fieldParameter, Name: name, Reason: reasonUTF8, Err: ErrUnsendable}
			}
		}
		w.b = append(w.b, '}')
	}
	return append(w.b, '}'), nil
}

// jsonWriter appends the members of an object to b.
type jsonWriter struct {
	b         []byte
	separator byte // before the next member
	broken    bool // something was not UTF-8
}

func (w *jsonWriter) member(key, value string) {
	w.key(key)
	w.string(value)
}

func (w *jsonWriter) key(key string) {
	w.b = append(w.b, w.separator)
	w.separator = ','
	w.string(key)
	w.b = append(w.b, ':')
}

// jsonPlain are the ASCII characters that stand for themselves in a string.
var jsonPlain = func() (plain [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

func (w *jsonWriter) string(s string) {
	w.b = append(w.b, '"')
	i, plain := 0, 0 // s[plain:i] can be written as it is
	for i < len(s) && jsonPlain[s[i]] {
		i++
	}
	for ; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				w.broken = true
			}
			i += size - 1
			continue
		}
		if jsonPlain[c] {
			continue
		}
		w.b = append(w.b, s[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			w.b = append(w.b, '\\', c)
		case '\n':
			w.b = append(w.b, `\n`...)
		case '\r':
			w.b = append(w.b, `\r`...)
		case '\t':
			w.b = append(w.b, `\t`...)
		default:
			const hex = "0123456789abcdef"
			w.b = append(w.b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	w.b = append(w.b, s[plain:]...)
	w.b = append(w.b, '"')
}

// isBare reports whether a value may stand in JSON without quotes. Numbers that a double can't hold are better
// kept in them: few readers take those.
func isBare(value string) bool {
	if value == "true" || value == "false" {
		return true
	}
	length := numberLength(value)
	if length == 0 || length != len(value) {
		return false
	}
	const smallestNormal = 0x1p-1022
	f, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return false
	}
	if f > -smallestNormal && f < smallestNormal {
		return isZero(value)
	}
	return true
}

// isZero reports whether all digits before the exponent of a number are zeros.
func isZero(number string) bool {
	for i := range len(number) {
		switch c := number[i]; {
		case c == 'e' || c == 'E':
			return true
		case c >= '1' && c <= '9':
			return false
		}
	}
	return true
}

// numberLength returns how many bytes at the beginning of s are a JSON number (RFC 8259, section 6), 0 when there
// is none.
func numberLength(s string) int {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch {
	case i < len(s) && s[i] == '0':
		i++
	case digits(s[i:]) > 0:
		i += digits(s[i:])
	default:
		return 0
	}
	if i < len(s) && s[i] == '.' {
		n := digits(s[i+1:])
		if n == 0 {
			return 0
		}
		i += 1 + n
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		sign := 0
		if i+1 < len(s) && (s[i+1] == '+' || s[i+1] == '-') {
			sign = 1
		}
		n := digits(s[i+1+sign:])
		if n == 0 {
			return 0
		}
		i += 1 + sign + n
	}
	return i
}

// digits returns how many bytes at the beginning of s are digits.
func digits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}
