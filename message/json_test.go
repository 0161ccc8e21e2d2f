package message_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestParseJSONErrors(t *testing.T) {
	const good = `{"command":"PING","parameters":{"a":"1"}}`
	tests := []struct {
		text   string
		err    error
		offset int
		field  string
		name   string
	}{
		{"PING", message.ErrSyntax, 0, "", ""},
		{" [1]", message.ErrSyntax, 1, "", ""},
		{`{`, message.ErrSyntax, 1, "", ""},
		{`{{`, message.ErrSyntax, 1, "", ""},
		{`{ command:"PING"}`, message.ErrSyntax, 2, "", ""},
		{`{'command':"PING"}`, message.ErrSyntax, 1, "", ""},
		{`{1:"PING"}`, message.ErrSyntax, 1, "", ""},
		{`{"command`, message.ErrSyntax, 1, "", ""},
		{`{"command"`, message.ErrSyntax, 10, "", ""},
		{`{"command" "PING"}`, message.ErrSyntax, 11, "", ""},
		{`{"command":`, message.ErrSyntax, 11, "", ""},
		{"{\"command\":\v\"PING\"}", message.ErrSyntax, 11, "", ""}, // not the white space of JSON
		{"{\"command\":\u00a0\"PING\"}", message.ErrSyntax, 11, "", ""},
		{`{"command": }`, message.ErrSyntax, 12, "", ""},
		{`{"command":PING}`, message.ErrSyntax, 11, "", ""},
		{`{"command":null}`, message.ErrSyntax, 11, "", ""},
		{`{"command":{}}`, message.ErrSyntax, 11, "", ""},
		{`{"command":"PING`, message.ErrSyntax, 11, "", ""},
		{`{"command":"PI\"NG`, message.ErrSyntax, 11, "", ""},
		{`{"command":"PING"`, message.ErrSyntax, 17, "", ""},
		{`{"command":"PING" "server":""}`, message.ErrSyntax, 18, "", ""},
		{`{"command":"PING";}`, message.ErrSyntax, 17, "", ""},
		{`{"command":"PING",}`, message.ErrSyntax, 18, "", ""},
		{`{"command":"PING"]`, message.ErrSyntax, 17, "", ""},
		{good + `x`, message.ErrSyntax, len(good), "", ""},
		{good + ` ` + good, message.ErrSyntax, len(good) + 1, "", ""},
		{`{"command":"PING","x":1}`, message.ErrSyntax, 22, "", ""},
		{`{"command":"PING","parameters":[]}`, message.ErrSyntax, 31, "", ""},
		{`{"command":"PING","parameters":{"a"}}`, message.ErrSyntax, 35, "", ""},
		{`{"command":"PING","parameters":{"a":}}`, message.ErrSyntax, 36, "", ""},
		{`{"command":"PING","parameters":{"a":{}}}`, message.ErrSyntax, 36, "", ""},
		{`{"command":"PING","parameters":{"a":[1]}}`, message.ErrSyntax, 36, "", ""},
		{`{"command":"PING","parameters":{"a":tru}}`, message.ErrSyntax, 36, "", ""},
		{`{"command":"PING","parameters":{"a":truer}}`, message.ErrSyntax, 40, "", ""},
		{`{"command":"PING","parameters":{"a":01}}`, message.ErrSyntax, 37, "", ""},
		{`{"command":"PING","parameters":{"a":1.}}`, message.ErrSyntax, 36, "", ""},
		{`{"command":"PING","parameters":{"a":+1}}`, message.ErrSyntax, 36, "", ""},
		{`{"command":"PING","parameters":{"a":-}}`, message.ErrSyntax, 36, "", ""},
		{`{"command":"PING","parameters":{"a":1e}}`, message.ErrSyntax, 36, "", ""},
		{`{"command":"PING","parameters":{"a":1`, message.ErrSyntax, 37, "", ""},
		{`{"command":"PING","parameters":{"a":1}`, message.ErrSyntax, 38, "", ""},
		{`{"command":"PI\qNG"}`, message.ErrSyntax, 14, "", ""},
		{`{"command":"PI\`, message.ErrSyntax, 14, "", ""},
		{`{"command":"PI\u00"}`, message.ErrSyntax, 14, "", ""},
		{`{"command":"PI\u00g0"}`, message.ErrSyntax, 14, "", ""},
		{`{"command":"PI\u+041"}`, message.ErrSyntax, 14, "", ""},
		{`{"command":"\n\ud83d"}`, message.ErrSyntax, 14, "", ""},
		{`{"command":"\n\ud83dx\ude00"}`, message.ErrSyntax, 14, "", ""},
		{`{"command":"\n\ude00\ud83d"}`, message.ErrSyntax, 14, "", ""},
		{"{\"command\":\"PI\\\nNG\"}", message.ErrSyntax, 14, "", ""},
		{"{\"command\":\"PI\x00NG\"}", message.ErrSyntax, 14, "", ""},
		{"{\"command\":\"é\xff\"}", message.ErrSyntax, 14, "", ""},
		{"{\"command\":\"é\xed\xa0\x80\"}", message.ErrSyntax, 14, "", ""}, // half a surrogate pair as bytes

		{`{}`, message.ErrName, -1, "command", ""},
		{`{"Command":"PING"}`, message.ErrName, -1, "command", ""},
		{`{"command":""}`, message.ErrName, 11, "command", ""},
		{` {"command":"ping"}`, message.ErrName, 12, "command", "ping"},
		{`{"command":"\u0070ing"}`, message.ErrName, 11, "command", "ping"},
		{`{"server":"a-b"}`, message.ErrName, 10, "server", "a-b"},
		{`{"service": "a b"}`, message.ErrName, 12, "service", "a b"},
		{`{"sent-from-server":"*"}`, message.ErrName, 20, "sent_from_server", "*"},
		{`{"sent-from-service":"a.b"}`, message.ErrName, 21, "sent_from_service", "a.b"},
		{`{"parameters":{"a":1, "b-c" : 2}}`, message.ErrName, 22, "parameter", "b-c"},
		{`{"parameters":{"":1}}`, message.ErrName, 15, "parameter", ""},
	}
	parser := message.Parser{Form: message.FormJSON}
	for _, tt := range tests {
		m, err := parser.Parse(tt.text)
		if m != nil {
			t.Errorf("%q: %v with an error", tt.text, m)
		}
		checkError(t, tt.text, err, message.Error{Offset: tt.offset, Field: tt.field, Name: tt.name, Err: tt.err})
		if err != nil && (!strings.HasPrefix(err.Error(), "message: ") || strings.Contains(err.Error(), ": :")) {
			t.Errorf("%q: %v", tt.text, err)
		}
	}
	// The reasons are for people; these are all there are for the syntax of JSON.
	for text, want := range map[string]string{
		`PING`:                   "message: at byte 0: not a JSON object",
		`{"a":1}`:                "message: at byte 5: a string expected",
		`{"a" 1}`:                "message: at byte 5: no colon after a key",
		`{"a":"" "b":""}`:        "message: at byte 8: no comma or brace after a value",
		`{"parameters":{"a":x}}`: "message: at byte 19: no string, number, true, false or null",
		`{"a":"b`:                "message: at byte 5: no closing quote",
		`{"a":"\x"}`:             "message: at byte 6: not an escape sequence",
		"{\"a\":\"\xff\"}":       "message: at byte 6: not UTF-8",
		good + "}":               "message: at byte 41: more after the closing brace",
		`{"parameters":{"a":1}}`: `message: command "": missing`,
	} {
		if _, err := parser.Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestJSONEscapes(t *testing.T) {
	var value strings.Builder
	for c := range 0x80 {
		value.WriteByte(byte(c))
	}
	value.WriteString("é\u2028\ufffd😀")
	const want = `{"command":"PING","parameters":{"v":"` +
		`\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008\t\n\u000b\u000c\r\u000e\u000f` +
		`\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f` +
		` !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_` + "`abcdefghijklmnopqrstuvwxyz{|}~\x7f" +
		"é\u2028\ufffd😀\"}}"
	m := message.New("PING").Set("v", value.String())
	if got, err := m.MarshalJSON(); err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if back, err := message.Parse(want); err != nil || !back.Equal(m) {
		t.Errorf("came back as %v, %v", back, err)
	}
}

func TestJSONNumbers(t *testing.T) {
	bare := []string{
		"true", "false", "0", "-0", "0.0", "-0.00e-99999", "7", "-7", "1.5", "1e5", "1E+5", "1.25e-3", "9223372036854775808",
		"123456789012345678901234567890", "1.7976931348623157e308", "2.2250738585072014e-308", "0e999", strings.Repeat("1", 300),
	}
	quoted := []string{
		"", "null", "True", "TRUE", "truer", " true", "+1", "01", "-01", "00", ".5", "5.", "-", "-.5", "1.e5", "1e", "1e+", "e5", "0x1F",
		"1_000", " 1", "1 ", "1\n", "1,5", "inf", "-inf", "nan", "1.5.5", "--1", "1-", "١",
		"1e309", "-1e309", "1e-400", "4.9e-324", "2.2250738585072011e-308", strings.Repeat("1", 400), // not for a double
	}
	for _, tt := range []struct {
		values []string
		quote  string
	}{{bare, ""}, {quoted, `"`}} {
		for _, value := range tt.values {
			m := message.New("PING").Set("v", value)
			escaped := strings.ReplaceAll(value, "\n", `\n`)
			want := `{"command":"PING","parameters":{"v":` + tt.quote + escaped + tt.quote + `}}`
			if got, err := m.AppendJSON(nil, message.JSONOptions{Numbers: true}); err != nil || string(got) != want {
				t.Errorf("%q: got %s, %v", value, got, err)
			}
			want = `{"command":"PING","parameters":{"v":"` + escaped + `"}}`
			if got, err := m.MarshalJSON(); err != nil || string(got) != want {
				t.Errorf("%q without Numbers: got %s, %v", value, got, err)
			}
			checkJSONReadBack(t, m)
		}
	}
}

func TestAppendJSONErrors(t *testing.T) {
	var zero message.Message
	_, err := zero.MarshalJSON()
	checkError(t, "no command", err, message.Error{Offset: -1, Field: "command", Reason: "missing", Err: message.ErrName})

	refused := message.New("PING").SetServer("a-b")
	if b, err := refused.AppendJSON([]byte("x"), message.JSONOptions{}); string(b) != "x" || !errors.Is(err, refused.Err()) {
		t.Errorf("got %q, %v", b, err)
	}

	broken := message.New("PING").Set("a", "1").Set("b", "secret\xff").Set("c", "")
	b, err := broken.AppendJSON([]byte("x"), message.JSONOptions{})
	checkError(t, "not UTF-8", err, message.Error{Offset: -1, Field: "parameter", Name: "b", Err: message.ErrUnsendable})
	if string(b) != "x" || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %q, %v", b, err)
	}
	if b, err := broken.MarshalJSON(); b != nil || err == nil {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestJSONInsideAStructure(t *testing.T) {
	type envelope struct {
		One  *message.Message
		None *message.Message
		Here message.Message
		All  []*message.Message
	}
	var e envelope
	if err := e.Here.UnmarshalText([]byte("a/HERE")); err != nil {
		t.Fatal(err)
	}
	e.One = message.New("PING").Set("a", "1<2")
	e.All = []*message.Message{message.New("A"), message.New("B").Set("c", "d")}
	text, err := json.Marshal(&e)
	const want = `{"One":{"command":"PING","parameters":{"a":"1\u003c2"}},"None":null,` +
		`"Here":{"service":"a","command":"HERE"},"All":[{"command":"A"},{"command":"B","parameters":{"c":"d"}}]}`
	if err != nil || string(text) != want {
		t.Fatalf("got  %s, %v\nwant %s", text, err, want)
	}

	var back envelope
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !back.One.Equal(e.One) || back.None != nil || !back.Here.Equal(&e.Here) ||
		len(back.All) != 2 || !back.All[0].Equal(e.All[0]) || !back.All[1].Equal(e.All[1]) {
		t.Errorf("came back as %+v", &back)
	}

	if _, err := json.Marshal(&envelope{}); !errors.Is(err, message.ErrName) {
		t.Errorf("a message without a command: %v, want ErrName", err)
	}
	if err := json.Unmarshal([]byte(`{"One":{"command":"a-b"}}`), &back); !errors.Is(err, message.ErrName) {
		t.Errorf("got %v, want ErrName", err)
	}
}

func TestUnmarshalJSON(t *testing.T) {
	m := message.New("OLD").SetService("s").Set("a", "1")
	for _, text := range []string{"null", `"PING"`, "PING", "", "{}", `{"command":"bad"}`, " null"} {
		if err := m.UnmarshalJSON([]byte(text)); (err == nil) != (text == "null") {
			t.Errorf("%q: %v", text, err)
		}
		if got := m.String(); got != "s/OLD a=1" {
			t.Fatalf("%q: changed to %q", text, got)
		}
	}
	text := []byte(`{"command":"NEW","parameters":{"b":"2"}}`)
	if err := m.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	clear(text)
	if got := m.String(); got != "NEW b=2" {
		t.Errorf("got %q: it has to hold a copy of the text and nothing from before", got)
	}
}
