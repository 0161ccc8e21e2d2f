package message_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestForms(t *testing.T) {
	const text, object = "PING a=1", `{"command":"PING","parameters":{"a":"1"}}`
	tests := []struct {
		form   message.Form
		name   string
		text   error // nil: read as PING a=1
		object error
	}{
		{message.FormAuto, "auto", nil, nil},
		{message.FormText, "text", nil, message.ErrName}, // a server named {"command"
		{message.FormJSON, "json", message.ErrSyntax, nil},
		{message.Form(9), "Form(9)", nil, nil},
	}
	for _, tt := range tests {
		if got := tt.form.String(); got != tt.name {
			t.Errorf("String: got %q, want %q", got, tt.name)
		}
		parser := message.Parser{Form: tt.form}
		for input, want := range map[string]error{text: tt.text, object: tt.object, " \t\r\n\v\f" + text: tt.text, object + "\r\n": tt.object} {
			m, err := parser.Parse(input)
			if !errors.Is(err, want) || err == nil && m.String() != text {
				t.Errorf("%v: %q: %v, %v, want %v", tt.form, input, m, err, want)
			}
		}
		for _, blank := range []string{"", " ", "\n\v"} {
			if m, err := parser.Parse(blank); !errors.Is(err, message.ErrEmpty) {
				t.Errorf("%v: %q: %v, %v, want ErrEmpty", tt.form, blank, m, err)
			}
		}
	}
}

func TestFormOf(t *testing.T) {
	for text, want := range map[string]message.Form{
		"": message.FormText, " \n": message.FormText, "PING": message.FormText, "PING a={": message.FormText, "[]": message.FormText,
		"{": message.FormJSON, " \t\r\n\v\f{}": message.FormJSON, "\ufeff{}": message.FormText, "\x00{}": message.FormText,
	} {
		if got := message.FormOf([]byte(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestParseBytesKeepsACopy(t *testing.T) {
	text := []byte("PING a=1")
	var parser message.Parser
	m, err := parser.ParseBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	clear(text)
	if got := m.String(); got != "PING a=1" {
		t.Errorf("got %q", got)
	}
	if m, err := parser.ParseBytes([]byte("ping")); m != nil || !errors.Is(err, message.ErrName) {
		t.Errorf("got %v, %v, want ErrName", m, err)
	}
}

// ofSize returns a message of so many bytes.
func ofSize(form message.Form, size int) string {
	head, tail := "PING a=", ""
	if form == message.FormJSON {
		head, tail = `{"command":"PING","parameters":{"a":"`, `"}}`
	}
	return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
}

// withParameters returns a message with so many parameters.
func withParameters(form message.Form, count int) string {
	var list []string
	for i := range count {
		name := fmt.Sprint("p", i/2) // one replaces another, both count
		if form == message.FormJSON {
			list = append(list, fmt.Sprintf("%q:%d", name, i))
		} else {
			list = append(list, fmt.Sprintf("%s=%d", name, i))
		}
	}
	if form == message.FormJSON {
		return `{"command":"PING","parameters":{` + strings.Join(list, ",") + `}}`
	}
	return "PING " + strings.Join(list, ";")
}

// withNames returns one message for each name that it can have, which has so many bytes.
func withNames(form message.Form, length int) []string {
	name := strings.Repeat("N", length)
	if form == message.FormJSON {
		return []string{
			`{"command":"` + name + `"}`,
			`{"command":"PING","server":"` + name + `"}`,
			`{"command":"PING","service":"` + name + `"}`,
			`{"command":"PING","sent-from-server":"` + name + `"}`,
			`{"command":"PING","sent-from-service":"` + name + `"}`,
			`{"command":"PING","parameters":{"` + name + `":""}}`,
		}
	}
	return []string{
		name, name + ":a/PING", "a:" + name + "/PING", "<" + name + ":a PING", "<a:" + name + " PING", "PING " + name + "=",
	}
}

func TestLimits(t *testing.T) {
	limits := []struct {
		name      string
		byDefault int
		set       func(p *message.Parser, limit int)
		texts     func(form message.Form, n int) []string
	}{
		{
			"MaxSize", message.DefaultMaxSize,
			func(p *message.Parser, limit int) { p.MaxSize = limit },
			func(form message.Form, n int) []string {
				return []string{ofSize(form, n), " " + ofSize(form, n-2) + "\n"}
			},
		},
		{
			"MaxParameters", message.DefaultMaxParameters,
			func(p *message.Parser, limit int) { p.MaxParameters = limit },
			func(form message.Form, n int) []string { return []string{withParameters(form, n)} },
		},
		{
			"MaxName", message.DefaultMaxName,
			func(p *message.Parser, limit int) { p.MaxName = limit },
			withNames,
		},
	}
	for _, limit := range limits {
		for _, tt := range []struct{ set, limit int }{
			{100, 100},
			{0, limit.byDefault},
			{-1, -1}, // none
		} {
			for _, form := range []message.Form{message.FormText, message.FormJSON} {
				parser := message.Parser{Lenient: limit.name == "MaxName"} // limits are for loose names too
				limit.set(&parser, tt.set)
				check := func(n int, want error) {
					t.Helper()
					for _, text := range limit.texts(form, n) {
						_, err := parser.Parse(text)
						_, bytesErr := parser.ParseBytes([]byte(text))
						if !errors.Is(err, want) || fmt.Sprint(bytesErr) != fmt.Sprint(err) {
							t.Errorf("%s %d, %v: %d: got %v and %v, want %v", limit.name, tt.set, form, n, err, bytesErr, want)
						}
					}
				}
				if tt.limit < 0 {
					check(2*limit.byDefault, nil)
				} else {
					check(tt.limit, nil)
					check(tt.limit+1, message.ErrLimit)
				}
			}
		}
	}
}

func TestLimitErrors(t *testing.T) {
	parser := message.Parser{MaxSize: 50, MaxParameters: 1, MaxName: 9}
	tests := []struct {
		text   string
		offset int
		field  string
		name   string
		reason string
	}{
		{strings.Repeat("x", 51), 50, "", "", "longer than 50 bytes"},
		{"PING a=1;b=2", 9, "", "", "more parameters than 1"},
		{`{"command":"PING","parameters":{"a":1,"b":2}}`, 38, "", "", "more parameters than 1"},
		{"SHORT NOT_SO_SHORT=1", 6, "parameter", "NOT_SO_SHORT", "longer than 9 bytes"},
		{"a:far_too_long/PING", 2, "service", "far_too_long", "longer than 9 bytes"},
		{`{"command":"FAR_TOO_LONG"}`, 11, "command", "FAR_TOO_LONG", "longer than 9 bytes"},
	}
	for _, tt := range tests {
		_, err := parser.Parse(tt.text)
		checkError(t, tt.text, err, message.Error{
			Offset: tt.offset, Field: tt.field, Name: tt.name, Reason: tt.reason, Err: message.ErrLimit,
		})
	}
}

// checkError wants err to be an *Error like want. An empty reason is any.
func checkError(t *testing.T, what string, err error, want message.Error) {
	t.Helper()
	var got *message.Error
	if !errors.As(err, &got) {
		t.Errorf("%q: got %v, want an *Error", what, err)
		return
	}
	if want.Reason == "" && got.Reason != "" {
		want.Reason = got.Reason
	}
	if *got != want || !errors.Is(err, want.Err) {
		t.Errorf("%q: got %#v, want %#v", what, *got, want)
	}
}

func TestUnmarshalIsLimited(t *testing.T) {
	m := message.New("OLD")
	if err := m.UnmarshalText([]byte(ofSize(message.FormText, message.DefaultMaxSize+1))); !errors.Is(err, message.ErrLimit) {
		t.Errorf("UnmarshalText: %v", err)
	}
	if err := m.UnmarshalJSON([]byte(withParameters(message.FormJSON, message.DefaultMaxParameters+1))); !errors.Is(err, message.ErrLimit) {
		t.Errorf("UnmarshalJSON: %v", err)
	}
	if m.String() != "OLD" {
		t.Errorf("changed to %v by an error", m)
	}
}

// TestWritingHasNoLimit: what was built, or read with other limits, can be written.
func TestWritingHasNoLimit(t *testing.T) {
	long := message.New(strings.Repeat("C", 1000)).Set(strings.Repeat("p", 1000), strings.Repeat("v", 2*message.DefaultMaxSize))
	parser := unlimited(message.FormAuto, true)
	for _, marshal := range []func() ([]byte, error){long.MarshalText, long.MarshalJSON} {
		text, err := marshal()
		if err != nil {
			t.Fatal(err)
		}
		if m, err := parser.Parse(string(text)); err != nil || !m.Equal(long) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
	loose, err := parser.Parse(strings.Repeat("c", 1000) + " a=" + strings.Repeat("v", 2*message.DefaultMaxSize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loose.MarshalText(); err != nil {
		t.Errorf("with loose names: %v", err)
	}
}

// Messages of the worst kinds follow. With quadratic steps they take from ten seconds to minutes, far more than the
// 2 s that a test may.

const worstSize = 1 << 20

type worstCase struct {
	name       string
	text       string
	parameters int // that are read; -1: refused
}

func (c worstCase) check(t *testing.T) {
	t.Helper()
	parser := unlimited(message.FormAuto, false)
	m, err := parser.Parse(c.text)
	if (err != nil) != (c.parameters < 0) || err == nil && m.Len() != c.parameters {
		t.Errorf("%s: %v, want %d parameters", c.name, err, c.parameters)
	}
}

func TestParseTextIsNotQuadratic(t *testing.T) {
	var backwards strings.Builder
	for i := worstSize / 8; i > 0; i-- {
		fmt.Fprintf(&backwards, "a%06d=;", i)
	}
	for _, c := range []worstCase{
		{"backslashes", "PING a=" + strings.Repeat(`\`, worstSize), 1},
		{"quoted quotes", `PING a="` + strings.Repeat(`\"`, worstSize/2) + `"`, 1},
		{"no closing quote", `PING a="` + strings.Repeat(`\"`, worstSize/2), -1},
		{"same name", "PING " + strings.Repeat("a=123456789;", worstSize/12), 1},
		{"names backwards", "PING " + backwards.String(), worstSize / 8},
		{"blanks", strings.Repeat(" ", worstSize) + "P", 0},
		{"equal signs", "PING " + strings.Repeat("=", worstSize), -1},
		{"slashes", strings.Repeat("a/", worstSize/2), -1},
	} {
		c.check(t)
	}
}

func TestParseJSONStringsIsNotQuadratic(t *testing.T) {
	inJSON := func(value string) string { return `{"command":"PING","parameters":{"a":` + value + `}}` }
	for _, c := range []worstCase{
		{"escapes", inJSON(`"` + strings.Repeat(`\n`, worstSize/2) + `"`), 1},
		{"surrogates", inJSON(`"` + strings.Repeat(`\ud83d\ude00`, worstSize/12) + `"`), 1},
		{"line ends", inJSON(`"` + strings.Repeat("\r", worstSize) + `"`), 1},
		{"no closing quote", `{"command":"` + strings.Repeat(`\"`, worstSize/2), -1},
		{"digits", inJSON(strings.Repeat("1", worstSize/2) + `.` + strings.Repeat("2", worstSize/2) + `e5`), 1},
		{"spaces", `{"command":` + strings.Repeat(" \t\r\n", worstSize/4) + `"PING"}`, 0},
		{"not UTF-8", inJSON(`"` + strings.Repeat("é", worstSize/2) + "\xff"), -1},
	} {
		c.check(t)
	}
}

func TestParseJSONObjectsIsNotQuadratic(t *testing.T) {
	var backwards strings.Builder
	for i := worstSize / 16; i > 0; i-- {
		fmt.Fprintf(&backwards, `"a%06d":"abc",`, i)
	}
	inJSON := func(parameters string) string { return `{"command":"PING","parameters":{` + parameters + `}}` }
	for _, c := range []worstCase{
		{"same name", inJSON(strings.Repeat(`"a":"123456789",`, worstSize/16) + `"a":2`), 1},
		{"names backwards", inJSON(backwards.String() + `"a":0`), worstSize/16 + 1},
		{"parameters again", `{` + strings.Repeat(`"parameters":{"a":1},`, worstSize/20) + `"command":"PING"}`, 1},
		{"unknown keys", `{` + strings.Repeat(`"a":"",`, worstSize/7) + `"command":"PING"}`, 0},
		{"nesting", strings.Repeat("{", worstSize), -1},
		{"nested parameters", strings.Repeat(`{"parameters":`, worstSize/14), -1},
	} {
		c.check(t)
	}
}

func TestWriteIsNotQuadratic(t *testing.T) {
	for _, value := range []string{
		strings.Repeat(`\`, worstSize/2), strings.Repeat(`";`, worstSize/4), strings.Repeat("\n\x01", worstSize/4),
		strings.Repeat("é", worstSize/4), strings.Repeat("1", worstSize/2), "0." + strings.Repeat("0", worstSize/2) + "1",
	} {
		m := message.New("PING").Set("a", value)
		if _, err := m.MarshalText(); err != nil {
			t.Errorf("%.10q...: %v", value, err)
		}
		if _, err := m.AppendJSON(nil, message.JSONOptions{Numbers: true}); err != nil {
			t.Errorf("%.10q...: %v", value, err)
		}
	}
}
