package message

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parseJSON reads the object that begins at text[start] and ends with text.
//
// As the C++ library it wants strings for all keys but the parameters, ignores keys that it does not know, takes the
// last of several values and merges several parameters, and lets control characters stand in strings as they are.
// Unlike it, a value is exactly what the JSON text says: it is not decoded once more, and a number keeps its digits.
func (r *reader) parseJSON(text string, start int) error {
	if !utf8.ValidString(text) {
		return syntaxError(invalidUTF8(text), "not UTF-8")
	}
	j := jsonReader{text: text, at: start}
	err := j.object(func(offset int, key string) error {
		if key == keyParameters && j.next() == '{' {
			return j.object(func(offset int, name string) error {
				value, err := j.value()
				if err != nil {
					return err
				}
				return r.addParameter(offset, name, checkParameter(name), value)
			})
		}
		valueOffset := j.at
		value, err := j.string()
		if err != nil {
			return err
		}
		switch key {
		case keySentFromServer:
			return r.setSentFromServer(valueOffset, value)
		case keySentFromService:
			return r.setSentFromService(valueOffset, value)
		case keyServer:
			return r.setServer(valueOffset, value)
		case keyService:
			return r.setService(valueOffset, value)
		case keyCommand:
			return r.setCommand(valueOffset, value)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case j.at < len(text):
		return syntaxError(j.at, "more after the closing brace")
	case r.message.command == "":
		return nameError(-1, fieldCommand, "", reasonMissing)
	}
	return nil
}

// invalidUTF8 returns where the first byte is that is not UTF-8.
func invalidUTF8(s string) int {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(s)
}

// jsonReader reads the tokens of a text that is UTF-8. Each of its methods leaves it at the next token.
type jsonReader struct {
	text string
	at   int
}

// next returns the byte at which the next token begins, 0 at the end.
func (j *jsonReader) next() byte {
	if j.at == len(j.text) {
		return 0
	}
	return j.text[j.at]
}

// skip goes over n bytes and the white space after them.
func (j *jsonReader) skip(n int) {
	j.at += n
	for j.at < len(j.text) {
		switch j.text[j.at] {
		case ' ', '\t', '\n', '\r':
			j.at++
		default:
			return
		}
	}
}

// object reads an object; member is called at each value, with the key and where it stands.
func (j *jsonReader) object(member func(offset int, key string) error) error {
	j.skip(1) // the brace
	if j.next() == '}' {
		j.skip(1)
		return nil
	}
	for {
		offset := j.at
		key, err := j.string()
		if err != nil {
			return err
		}
		if j.next() != ':' {
			return syntaxError(j.at, "no colon after a key")
		}
		j.skip(1)
		if err := member(offset, key); err != nil {
			return err
		}
		switch j.next() {
		case ',':
			j.skip(1)
		case '}':
			j.skip(1)
			return nil
		default:
			return syntaxError(j.at, "no comma or brace after a value")
		}
	}
}

// value reads the value of a parameter, which is flat.
func (j *jsonReader) value() (string, error) {
	rest := j.text[j.at:]
	switch {
	case j.next() == '"':
		return j.string()
	case strings.HasPrefix(rest, "true"):
		j.skip(4)
		return rest[:4], nil
	case strings.HasPrefix(rest, "false"):
		j.skip(5)
		return rest[:5], nil
	case strings.HasPrefix(rest, "null"):
		j.skip(4)
		return "", nil
	}
	length := numberLength(rest)
	if length == 0 {
		return "", syntaxError(j.at, "no string, number, true, false or null")
	}
	j.skip(length)
	return rest[:length], nil
}

// string reads a string. What needs no decoding is a part of the text.
func (j *jsonReader) string() (string, error) {
	if j.next() != '"' {
		return "", syntaxError(j.at, "a string expected")
	}
	start := j.at + 1
	for i := start; i < len(j.text); i++ {
		switch j.text[i] {
		case '"':
			j.at = i
			j.skip(1)
			return j.text[start:i], nil
		case '\\', '\r':
			return j.decode(start, i)
		}
	}
	return "", syntaxError(j.at, "no closing quote")
}

// decode reads the rest of a string that begins at start, of which text[start:at] is plain.
func (j *jsonReader) decode(start, at int) (string, error) {
	var b strings.Builder
	plain := start
	for i := at; i < len(j.text); {
		switch j.text[i] {
		case '"':
			b.WriteString(j.text[plain:i])
			j.at = i
			j.skip(1)
			return b.String(), nil
		case '\r': // as it is, it ends a line, like CR LF and LF
			b.WriteString(j.text[plain:i])
			b.WriteByte('\n')
			i++
			if i < len(j.text) && j.text[i] == '\n' {
				i++
			}
			plain = i
		case '\\':
			b.WriteString(j.text[plain:i])
			length := appendEscaped(&b, j.text[i:])
			if length == 0 {
				return "", syntaxError(i, "not an escape sequence")
			}
			i += length
			plain = i
		default:
			i++
		}
	}
	return "", syntaxError(start-1, "no closing quote")
}

// appendEscaped decodes the escape sequence at the beginning of s and returns its length, 0 when it is none.
func appendEscaped(b *strings.Builder, s string) int {
	if len(s) < 2 {
		return 0
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if i := strings.IndexByte(from, s[1]); i >= 0 {
		b.WriteByte(to[i])
		return 2
	}
	r, ok := hexRune(s)
	if !ok {
		return 0
	}
	if !utf16.IsSurrogate(r) {
		b.WriteRune(r)
		return len(`\u0000`)
	}
	low, ok := hexRune(s[len(`\u0000`):])
	if !ok {
		return 0
	}
	r = utf16.DecodeRune(r, low)
	if r == utf8.RuneError { // which no pair stands for
		return 0
	}
	b.WriteRune(r)
	return 2 * len(`\u0000`)
}

// hexRune decodes a backslash, a u and four hexadecimal digits at the beginning of s.
func hexRune(s string) (r rune, ok bool) {
	if len(s) < len(`\u0000`) || s[:2] != `\u` {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:len(`\u0000`)], 16, 16)
	return rune(n), err == nil
}
