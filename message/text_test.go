package message_test

import (
	"errors"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestParseErrors(t *testing.T) {
	tests := []struct {
		text   string
		err    error
		offset int
		field  string
		name   string
	}{
		{"", message.ErrEmpty, -1, "", ""},
		{" \t\v\f\r\n", message.ErrEmpty, -1, "", ""},
		{"PING a=b\x00", message.ErrSyntax, 8, "", ""},
		{"<a:b", message.ErrSyntax, 4, "", ""},
		{"<ab PING", message.ErrSyntax, 3, "", ""},
		{"<a-b:c PING", message.ErrName, 1, "sent_from_server", "a-b"},
		{"<a:b.c PING", message.ErrName, 3, "sent_from_service", "b.c"},
		{"<.:c PING", message.ErrName, 1, "sent_from_server", "."},
		{"<a:b  PING", message.ErrName, 5, "command", ""},
		{":b/PING", message.ErrName, 0, "server", ""},
		{"a-b:c/PING", message.ErrName, 0, "server", "a-b"},
		{"  a:b-c/PING", message.ErrName, 4, "service", "b-c"},
		{"a:/PING", message.ErrName, 2, "service", ""},
		{"a:b/ping", message.ErrName, 4, "command", "ping"},
		{"a:b/", message.ErrName, 4, "command", ""},
		{"1PING", message.ErrName, 0, "command", "1PING"},
		{"PING a", message.ErrSyntax, 5, "", ""},
		{"PING a=1;b", message.ErrSyntax, 9, "", ""},
		{"PING a=1;b c=2", message.ErrName, 9, "parameter", "b c"},
		{"PING =1", message.ErrName, 5, "parameter", ""},
		{`PING a="1`, message.ErrSyntax, 7, "", ""},
		{`PING a="1\"`, message.ErrSyntax, 7, "", ""},
		{`PING a="1"2`, message.ErrSyntax, 10, "", ""},
	}
	for _, tt := range tests {
		m, err := message.Parse(tt.text)
		if m != nil {
			t.Errorf("%q: %v with an error", tt.text, m)
		}
		checkError(t, tt.text, err, message.Error{Offset: tt.offset, Field: tt.field, Name: tt.name, Err: tt.err})
	}
}

func TestUnmarshalText(t *testing.T) {
	m := message.New("OLD").SetService("s").Set("a", "1")
	if err := m.UnmarshalText([]byte("bad")); !errors.Is(err, message.ErrName) {
		t.Fatalf("got %v, want ErrName", err)
	}
	if got := m.String(); got != "s/OLD a=1" {
		t.Fatalf("changed to %q by an error", got)
	}

	text := []byte("NEW b=2\n")
	if err := m.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	clear(text)
	if got := m.String(); got != "NEW b=2" {
		t.Fatalf("got %q: it has to hold a copy of the text and nothing from before", got)
	}
}
