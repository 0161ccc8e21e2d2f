package message_test

import (
	"errors"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestLenientText(t *testing.T) {
	lenient := message.Parser{Lenient: true}
	for _, text := range []string{
		"ping", "A-B.C!", "a-b.c:d-e/ping p=1", "<web-1.example.com:s/v:x PING", "É/é a=1", "<.:* PING", `{"a":B`, "1/2", "\xff", `"`,
	} {
		if _, err := message.Parse(text); err == nil {
			t.Errorf("%q: accepted by a strict Parser", text)
		}
		parser := lenient
		parser.Form = message.FormText
		m, err := parser.Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		want, ok := cppRead(text)
		if !ok {
			t.Fatalf("%q is no text", text)
		}
		checkFields(t, text, want, fieldsOf(m))
		checkBothForms(t, m, true)
	}
	// No names at all, separators in names, and bad names of parameters stay refused.
	for text, want := range map[string]error{
		":a/PING": message.ErrName, "a:/PING": message.ErrName, "/PING": message.ErrName, "a/": message.ErrName, "a:": message.ErrName,
		"a/b/PING": message.ErrName, "a:b:c/PING": message.ErrName, "a/b:PING": message.ErrName, "a:b:PING": message.ErrName,
		"PING a-b=1": message.ErrName, "PING =1": message.ErrName, "PING  a=1": message.ErrName,
		"<ab PING": message.ErrSyntax, "<a:b": message.ErrSyntax, "PING a": message.ErrSyntax, "a\x00b": message.ErrSyntax,
		"": message.ErrEmpty,
	} {
		if m, err := lenient.Parse(text); m != nil || !errors.Is(err, want) {
			t.Errorf("%q: got %v, %v, want %v", text, m, err, want)
		}
	}
}

// TestLooseNamesInText: what JSON can hold and text can't is refused when it is written, never written otherwise.
func TestLooseNamesInText(t *testing.T) {
	parser := message.Parser{Lenient: true, Form: message.FormJSON}
	for _, tt := range []struct {
		text string
		want string // "": ErrUnsendable
	}{
		{`{"command":"ping"}`, "ping"},
		{`{"command":"ping","server":"a b"}`, "ping"}, // not written
		{`{"command":"ping","server":"a-b","service":"c.d"}`, "a-b:c.d/ping"},
		{`{"command":"é","sent-from-server":"web-1","sent-from-service":"a:b/c"}`, "<web-1:a:b/c é"},
		{`{"command":"A\rB","parameters":{"x":"1 "}}`, "A\rB x=\"1 \""},

		{`{"command":"A B"}`, ""},
		{`{"command":"A x=1"}`, ""},
		{`{"command":"A\nB"}`, ""},
		{`{"command":"A\u0000B"}`, ""},
		{`{"command":"A\t"}`, ""},
		{`{"command":"A/B"}`, ""},
		{`{"command":"A:B"}`, ""},
		{`{"command":"<a:b"}`, ""},
		{`{"command":"{}"}`, ""},
		{`{"command":"PING","server":"{","service":"x"}`, ""},
		{`{"command":"PING","server":"a b","service":"x"}`, ""},
		{`{"command":"PING","server":"a/b","service":"x"}`, ""},
		{`{"command":"PING","service":"c/d"}`, ""},
		{`{"command":"PING","service":"c\nd"}`, ""},
		{`{"command":"PING","sent-from-server":"a:b"}`, ""},
		{`{"command":"PING","sent-from-service":"a b"}`, ""},
		{`{"command":"PING","parameters":{"":"1"}}`, ""},
		{`{"command":"PING","parameters":{"a b":"1"}}`, ""},
		{`{"command":"PING","parameters":{"a=b":"1"}}`, ""},
		{`{"command":"PING","parameters":{"a\nb":"1"}}`, ""},
		{`{"command":"PING","parameters":{"b":"1","x;a":"1"}}`, ""},
	} {
		m, err := parser.Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		// A clone has the same names, and a reply those of the sender.
		for _, m := range []*message.Message{m, m.Clone()} {
			text, err := m.MarshalText()
			if tt.want == "" {
				checkError(t, tt.text, err, message.Error{Offset: -1, Err: message.ErrUnsendable})
			} else if err != nil || string(text) != tt.want {
				t.Errorf("%s: got %q, %v, want %q", tt.text, text, err, tt.want)
			}
			checkBothForms(t, m, true)
			checkBothForms(t, m.Reply("REPLY"), true)
			checkBothForms(t, message.New("REPLY").Set("a", "b").ReplyTo(m), true)
		}
	}
}

// TestSettersAreStrict: Lenient is about what is read.
func TestSettersAreStrict(t *testing.T) {
	parser := message.Parser{Lenient: true}
	m, err := parser.Parse("<a-b:c ping")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Clone().SetServer("d-e").Err(); !errors.Is(err, message.ErrName) {
		t.Errorf("got %v, want ErrName", err)
	}
	if text, err := m.SetSentFromServer("").SetService("x").Set("y", "z").MarshalText(); err != nil || string(text) != "<:c x/ping y=z" {
		t.Errorf("got %q, %v", text, err)
	}
	if err := m.UnmarshalText([]byte("ping")); !errors.Is(err, message.ErrName) {
		t.Errorf("got %v, want ErrName", err)
	}
}
