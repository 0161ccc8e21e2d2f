package message_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// checkRefusal looks at the error of a text that is refused.
func checkRefusal(t *testing.T, text string, m *message.Message, err error) {
	t.Helper()
	var e *message.Error
	if m != nil || !errors.As(err, &e) {
		t.Fatalf("%q: %v, %v, want an *Error", text, m, err)
	}
	known := errors.Is(err, message.ErrEmpty) || errors.Is(err, message.ErrSyntax) || errors.Is(err, message.ErrName)
	if !known || e.Offset < -1 || e.Offset > len(text) {
		t.Fatalf("%q: %#v", text, e)
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) || len(err.Error()) > 500 {
		t.Fatalf("%q: %q is not a line of text", text, err)
	}
}

// checkBothForms writes m in both forms. Whether a message can be written as text that has names which only Lenient
// accepts is for the C++ reader to say.
func checkBothForms(t *testing.T, m *message.Message, lenient bool) {
	t.Helper()
	checkJSON(t, m, lenient)
	if !lenient {
		checkText(t, m)
		return
	}
	_, written := checkLine(t, m, true)
	line := unguarded(m)
	again, ok := cppRead(line)
	sendable := ok && !strings.ContainsAny(line, "\n\x00") && line[0] != '{' &&
		reflect.DeepEqual(again, fieldsOf(arriving(m)))
	if written != sendable {
		t.Fatalf("%q is written: %v, can be read back: %v", line, written, sendable)
	}
}

// unguarded returns the text form as the documentation has it, of names that it can't hold too.
func unguarded(m *message.Message) string {
	var b strings.Builder
	if m.SentFromServer() != "" || m.SentFromService() != "" {
		fmt.Fprintf(&b, "<%s:%s ", m.SentFromServer(), m.SentFromService())
	}
	if m.Service() != "" {
		if m.Server() != "" {
			b.WriteString(m.Server() + ":")
		}
		b.WriteString(m.Service() + "/")
	}
	b.WriteString(m.Command())
	separator, left := " ", m.Len()
	for name, value := range m.Parameters() {
		left--
		quoted := strings.Contains(value, ";") || strings.HasPrefix(value, `"`) ||
			left == 0 && strings.TrimRight(value, " \t\v\f") != value
		value = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(value)
		if quoted {
			value = `"` + strings.ReplaceAll(value, `"`, `\"`) + `"`
		}
		b.WriteString(separator + name + "=" + value)
		separator = ";"
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", " \n", "PING", " PING\r\n", "<a:b c:d/PING e=f;g=\"h;i\";", "a:PING x=", `PING a="x\\"y";b=\n\r\\`,
		"PING z=1;a=2;z=3", "PING a=1;b=2;c=3;d=4;e=5;f=6;g=7", "{\"command\":\"PING\"}", "PING a=\x00", "./PING a= ;b= ",
		"<a-b:c.d/e .:é/p-i-n-g a=1", "<: <x", "a/b/C", "a:b:C", "a/b:C", "PING\na=1", "PING a=\"x \"", "PING a=\xff",
		`{"a":B c=1`, "PING a-b=1", "PING secret_code=x;y", `<a:b c=d e="f`, "=", "\"", "PING a=x\\;b=y",
		"\xff", "\xe9:\xff/PING",
	} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, lenient bool) {
		for _, form := range []message.Form{message.FormAuto, message.FormText} {
			parser := unlimited(form, lenient)
			m, err := parser.Parse(text)
			if err != nil {
				checkRefusal(t, text, m, err)
			}
			if form == message.FormAuto && message.FormOf([]byte(text)) == message.FormJSON {
				parser.Form = message.FormJSON
				if _, again := parser.Parse(text); fmt.Sprint(again) != fmt.Sprint(err) {
					t.Fatalf("%q: %v, as JSON: %v", text, err, again)
				}
				continue // the rest is for FuzzParseJSON
			}
			want, ok := cppRead(text)
			accepted := ok && !strings.Contains(text, "\x00") && (lenient || want.build().Err() == nil)
			if accepted != (err == nil) {
				t.Fatalf("%q: accepted by the C++ library %v, lenient %v: %v, %v", text, ok, lenient, m, err)
			}
			if err != nil {
				continue
			}
			checkFields(t, text, want, fieldsOf(m))
			checkBothForms(t, m, lenient)
			if !lenient && !checkText(t, m) {
				t.Fatalf("%q was read but can't be written", text)
			}
		}
		checkUnmarshal(t, text)
	})
}

// checkUnmarshal: what reads into a message does what Parse does.
func checkUnmarshal(t *testing.T, text string) {
	t.Helper()
	want, wantErr := message.Parse(text)
	got := message.New("OTHER").Set("x", "y")
	err := got.UnmarshalText([]byte(text))
	if fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Fatalf("%q: %v, but Parse: %v", text, err, wantErr)
	}
	if err != nil {
		want = message.New("OTHER").Set("x", "y")
	}
	if !got.Equal(want) {
		t.Fatalf("%q: %v, but Parse: %v", text, got, want)
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"command":"PING"}`, " {\n\t\"command\" : \"PING\" , \"parameters\" : { } } \r\n",
		`{"sent-from-server":"a","sent-from-service":"b","server":"c","service":"d","command":"E","parameters":{"f":"g"}}`,
		`{"command":"A","parameters":{"a":1,"b":-0.5e+10,"c":true,"d":false,"e":null,"f":"","g":"x","a":"again"}}`,
		`{"command":"A","parameters":{"x":"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00"}}`, `{"command":"A","x":"\ud83d"}`,
		"{\"command\":\"A\",\"x\":\"a\nb\r\nc\rd\te\x01\"}", `{"command":"A","parameters":{"x":[1]}}`,
		`{"command":"A","command":"B"}`, `{"command":"a-b","parameters":{"":"","c d":"e"}}`, `{"command":"A","parameters":"x"}`,
		`{"command":"A","parameters":{"x":"1"},"parameters":{"y":"2"}}`, `{"command":"A"}x`, `{"command":"A",}`, `{"a":{}}`,
		`{"command":"A","parameters":{"x":01}}`, "{\"command\":\"\xff\"}", `{"Command":"A"}`, `{"command":"A\u0000"}`, "[1]",
		"\v{\"command\":\"A\"}", `{"command":"A","parameters":{"x":1e400,"y":1.}}`, `{"command":"A","parameters":{"x":true1}}`,
	} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, lenient bool) {
		parser := unlimited(message.FormJSON, lenient)
		m, err := parser.Parse(text)
		want, ok := jsonRead(text, lenient)
		if ok != (err == nil) {
			t.Fatalf("%q: accepted by encoding/json %v, lenient %v: %v, %v", text, ok, lenient, m, err)
		}
		checkUnmarshal(t, text)
		if err != nil {
			checkRefusal(t, text, m, err)
			return
		}
		checkFields(t, text, want, fieldsOf(m))
		checkBothForms(t, m, lenient)
	})
}

// jsonRead reads a message in JSON with package encoding/json, and knows where this package differs from it: raw
// control characters may stand in strings, more kinds of white space around the object; neither what is not UTF-8 nor
// half a surrogate pair becomes a replacement character.
func jsonRead(text string, lenient bool) (f fields, ok bool) {
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		return f, false
	}
	text = escapeControls(strings.Trim(text, cppSpace))
	if !json.Valid([]byte(text)) || hasHalfPair(text) {
		return f, false
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	next := func() json.Token {
		token, _ := decoder.Token() // it is valid
		return token
	}

	if next() != json.Delim('{') {
		return f, false
	}
	heads := map[string]string{}
	var parameters pairs
	names := message.New("NAMES") // takes each name once, also those that are replaced later
	for decoder.More() {
		key, value := next().(string), next()
		if key == "parameters" && value == json.Delim('{') {
			for decoder.More() {
				name, value := next().(string), next()
				switch value := value.(type) {
				case json.Delim:
					return f, false
				case nil:
					parameters.put(name, "")
				default:
					parameters.put(name, fmt.Sprint(value))
				}
				names.Set(name, "")
			}
			next() // the brace
			continue
		}
		head, isString := value.(string)
		if !isString || key == "command" && head == "" {
			return f, false
		}
		heads[key] = head
		switch key {
		case "sent-from-server":
			names.SetSentFromServer(head)
		case "sent-from-service":
			names.SetSentFromService(head)
		case "server":
			names.SetServer(head)
		case "service":
			names.SetService(head)
		case "command":
			if message.New(head).Err() != nil {
				names.Set("", "") // a bad name like any other
			}
		}
	}
	if heads["command"] == "" || names.Err() != nil && !lenient {
		return f, false
	}
	return fieldsOfAll(heads["sent-from-server"], heads["sent-from-service"], heads["server"], heads["service"],
		heads["command"], parameters), true
}

// escapeControls writes the control characters in strings of JSON as JSON wants them. A line may end in CR LF, CR or LF.
func escapeControls(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var b strings.Builder
	inString := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			inString = !inString
			b.WriteByte(c)
		case inString && c == '\\' && i+1 < len(text):
			b.WriteString(text[i : i+2])
			i++
		case inString && c == '\r':
			b.WriteString(`\n`)
		case inString && c < ' ':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// hasHalfPair reports whether half a surrogate pair is escaped in valid JSON.
func hasHalfPair(text string) bool {
	unit := func(i int) rune {
		if i+6 > len(text) || text[i:i+2] != `\u` {
			return 0
		}
		n, _ := strconv.ParseUint(text[i+2:i+6], 16, 16) // it is valid
		return rune(n)
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if r := unit(i); utf16.IsSurrogate(r) {
			if utf16.DecodeRune(r, unit(i+6)) == unicode.ReplacementChar {
				return true
			}
			i += 10
		}
		i++
	}
	return false
}

// FuzzLenient: whatever names came in by JSON, a text that is written is one line and read as the same message.
func FuzzLenient(f *testing.F) {
	f.Add("PING", "alpha", "beta", "gamma", "delta", "a", "1")
	f.Add("ping", "a b", "c/d", "e:f", "g h", "", "")
	f.Add("A=B", "a-b.c", "é", "x-y", "z.z", "a-b", "1;2")
	f.Add("<a:b C", "", "", "", "", "x", "y")
	f.Add("{}", "{", "x", "", "", "a=b", "c")
	f.Add("A\nB", "a\nb", "c", "d\ne", "f", "g\nh", "i\nj")
	f.Add("A\t", "", "", "", "", "", "")
	f.Add("A\x00", "a\rb", "c\x00", "\x00", "\v", "\f", "x ")
	f.Add("A x=1", "s", "t", "", "", "p", "q")
	f.Add("\"", ":", "/", " ", "<", ";", `"\`)
	f.Fuzz(func(t *testing.T, command, server, service, sentFromServer, sentFromService, name, value string) {
		text, err := json.Marshal(map[string]any{ // which replaces what is not UTF-8
			"command": command, "server": server, "service": service,
			"sent-from-server": sentFromServer, "sent-from-service": sentFromService,
			"parameters": map[string]string{name: value},
		})
		if err != nil {
			t.Fatal(err)
		}
		parser := unlimited(message.FormJSON, true)
		m, err := parser.Parse(string(text))
		if err != nil {
			if command != "" || !errors.Is(err, message.ErrName) {
				t.Fatalf("%s: %v", text, err)
			}
			return
		}
		checkBothForms(t, m, true)
		checkBothForms(t, m.Reply("REPLY").Set("ok", value), true) // to loose names
		m.Delete(name)
		checkBothForms(t, m.SetServer("").SetService("strict"), true)
	})
}
