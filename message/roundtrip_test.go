package message_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// unlimited returns a Parser without limits, for what a test makes up.
func unlimited(form message.Form, lenient bool) message.Parser {
	return message.Parser{Form: form, Lenient: lenient, MaxSize: -1, MaxParameters: -1, MaxName: -1}
}

// checkFields compares what two readers make of a text.
func checkFields(t *testing.T, text string, want, got fields) {
	t.Helper()
	if !reflect.DeepEqual(want, got) { // which is much faster than cmp
		t.Fatalf("%q: want (-), got (+):\n%s", text, cmp.Diff(want, got))
	}
}

// checkText writes m, of which Lenient let no name through, and has both readers read it. It returns false when m
// can't be written, for one of the two reasons that are promised.
func checkText(t *testing.T, m *message.Message) (written bool) {
	t.Helper()
	var nul, backslash bool
	for _, value := range m.Parameters() {
		nul = nul || strings.Contains(value, "\x00")
		backslash = backslash || strings.HasSuffix(value, `\`) &&
			(strings.HasPrefix(value, `"`) || strings.Contains(value, ";"))
	}
	line, written := checkLine(t, m, false)
	if written == (nul || backslash) {
		t.Fatalf("%q is written: %v, NUL %v, quotes needed and a backslash last %v", m, written, nul, backslash)
	}
	if strings.Contains(line, "\r") {
		t.Fatalf("%q is not clean", line)
	}
	return written
}

// checkLine writes m and has both readers read it. It returns false when m can't be written.
func checkLine(t *testing.T, m *message.Message, lenient bool) (line string, written bool) {
	t.Helper()
	text, err := m.AppendText([]byte("before"))
	if err != nil {
		if !errors.Is(err, message.ErrUnsendable) || string(text) != "before" {
			t.Fatalf("%v: %q, %v, want ErrUnsendable", m, text, err)
		}
		return "", false
	}
	line = strings.TrimPrefix(string(text), "before")
	if strings.ContainsAny(line, "\n\x00") || strings.HasPrefix(line, "{") {
		t.Fatalf("%q is not one line of text", line)
	}

	parser := unlimited(message.FormAuto, lenient)
	back, err := parser.Parse(line)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	want := fieldsOf(arriving(m))
	checkFields(t, line, want, fieldsOf(back))
	cpp, ok := cppRead(line)
	if !ok {
		t.Fatalf("%q is refused by the C++ library", line)
	}
	checkFields(t, line, want, cpp)
	if again, err := back.MarshalText(); err != nil || string(again) != line {
		t.Fatalf("%q, read and written again: %q, %v", line, again, err)
	}
	return line, true
}

// checkJSON writes m as JSON, both ways, and has three readers read it. It returns false when m can't be written,
// because something is not UTF-8.
func checkJSON(t *testing.T, m *message.Message, lenient bool) (written bool) {
	t.Helper()
	plain := true // the C++ library reads the values as they are
	for _, value := range m.Parameters() {
		plain = plain && !strings.Contains(value, `\`)
	}
	want := fieldsOf(arriving(m))
	parser := unlimited(message.FormJSON, lenient)
	for _, options := range []message.JSONOptions{{}, {Numbers: true}} {
		out, err := m.AppendJSON([]byte("before"), options)
		if good := isUTF8(want); good != (err == nil) {
			t.Fatalf("%q: UTF-8 %v, got %v", m, good, err)
		}
		if err != nil {
			if !errors.Is(err, message.ErrUnsendable) || string(out) != "before" {
				t.Fatalf("%q: %q, %v, want ErrUnsendable", m, out, err)
			}
			continue
		}
		text := strings.TrimPrefix(string(out), "before")
		if !json.Valid([]byte(text)) || strings.ContainsAny(text, "\n\r\x00") {
			t.Fatalf("%q is not one line of JSON", text)
		}
		back, err := parser.Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		checkFields(t, text, want, fieldsOf(back))
		if again, err := back.AppendJSON(nil, options); err != nil || string(again) != text {
			t.Fatalf("%q, read and written again: %q, %v", text, again, err)
		}
		if options.Numbers {
			var value any // with numbers as float64, which has to hold them
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		} else if plain {
			cpp, ok := cppReadJSON(text)
			if !ok {
				t.Fatalf("%q is refused by the C++ library", text)
			}
			checkFields(t, text, want, cpp)
		}
		written = true
	}
	return written
}

func isUTF8(f fields) bool {
	good := true
	for _, field := range []*bytestring{f.Server, f.Service, f.SentFromServer, f.SentFromService, f.Command} {
		good = good && utf8.ValidString(string(*field))
	}
	for _, p := range f.Parameters {
		good = good && utf8.ValidString(string(p[0])) && utf8.ValidString(string(p[1]))
	}
	return good
}

func TestEveryShortValueIsReadBackOrRefused(t *testing.T) {
	const alphabet = "an\"\\; \n\r\x00"
	var written, refused int
	var try func(value string)
	try = func(value string) {
		for _, m := range []*message.Message{
			message.New("CMD").Set("v", value),
			message.New("CMD").Set("v", value).Set("w", ""),
			message.New("CMD").Set("v", value).Set("w", value),
		} {
			if checkText(t, m) {
				written++
			} else {
				refused++
			}
		}
		checkJSON(t, message.New("CMD").Set("v", value), false)
		if len(value) < 3 {
			for i := range len(alphabet) {
				try(value + alphabet[i:i+1])
			}
		}
	}
	try("")
	if written < 2*refused {
		t.Errorf("%d written, %d refused", written, refused)
	}
}

// pieces of values: what the forms treat in a special way, and numbers that must stay as they are.
var pieces = []string{
	"a", "é", "😀", `"`, `\`, `\\`, `\"`, ";", " ", "\t", "\v", "\f", "\n", "\r", "=", "n", "r", "<", "/", ":", "{",
	"long text", "true", "null", "0", "-", "+", ".", "1e5", "0x1F", "7f", "\x01", "\x7f", "\u2028", `\u0041`,
}

// randomMessage sets anything that setters accept.
func randomMessage(random *rand.Rand) *message.Message {
	pick := func(names ...string) string { return names[random.IntN(len(names))] }
	m := message.New(pick("PING", "_", "A1", "LONG_COMMAND_2")).
		SetServer(pick("", ".", "*", "?", "alpha", "B_2")).
		SetService(pick("", ".", "*", "?", "beta", "_c")).
		SetSentFromServer(pick("", "", "gamma", "_")).
		SetSentFromService(pick("", "", "delta", "E"))
	for range random.IntN(31) {
		var value strings.Builder
		for range random.IntN(6) {
			switch random.IntN(100) {
			case 0: // rare: each makes the whole message one that can't be written
				value.WriteString("\x00")
			case 1:
				value.WriteByte(byte(0x80 + random.IntN(0x80)))
			default:
				value.WriteString(pieces[random.IntN(len(pieces))])
			}
		}
		m.Set(fmt.Sprintf("p%d", random.IntN(40)), value.String())
	}
	return m
}

func TestRandomMessagesAreReadBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const messages = 500
	var texts, objects int
	for range messages {
		m := randomMessage(random)
		if err := m.Err(); err != nil {
			t.Fatal(err)
		}
		if checkText(t, m) {
			texts++
		}
		if checkJSON(t, m, false) {
			objects++
		}
	}
	if texts < messages/4 || texts == messages || objects < messages/4 || objects == messages {
		t.Errorf("of %d messages %d were written as text, %d as JSON: either case has to be tried", messages, texts, objects)
	}
}
