package message_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// cppRead reads the parameters of a message the way the C++ library does, naive steps included. It knows
// nothing of names but that a parameter has one.
func cppRead(text string) (parameters map[string]string, ok bool) {
	text, _, _ = strings.Cut(text, "\x00")
	text = strings.Trim(text, " \t\n\v\f\r")
	if strings.HasPrefix(text, "<") {
		_, text, _ = strings.Cut(text, " ")
	}
	_, text, _ = strings.Cut(text, " ")

	parameters = map[string]string{}
	for text != "" {
		name, rest, found := strings.Cut(text, "=")
		if !found || name == "" {
			return nil, false
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for end < len(rest) && (rest[end] != '"' || rest[end-1] == '\\') {
				end++
			}
			if end == len(rest) {
				return nil, false
			}
			value = strings.ReplaceAll(rest[1:end], `\"`, `"`)
			rest = rest[end+1:]
			if rest != "" && rest[0] != ';' {
				return nil, false
			}
			rest = strings.TrimPrefix(rest, ";")
		} else {
			value, rest, _ = strings.Cut(rest, ";")
		}
		parameters[name] = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(value)
		text = rest
	}
	return parameters, true
}

func parametersOf(m *message.Message) map[string]string {
	all := map[string]string{}
	for name, value := range m.Parameters() {
		all[name] = value
	}
	return all
}

// checkReadBack writes m and has both readers read it. It returns false when m can't be written.
func checkReadBack(t *testing.T, m *message.Message) bool {
	t.Helper()
	text, err := m.AppendText([]byte("before"))
	if err != nil {
		if !errors.Is(err, message.ErrUnsendable) || string(text) != "before" {
			t.Fatalf("%v: %q, %v, want ErrUnsendable", m, text, err)
		}
		return false
	}
	line := strings.TrimPrefix(string(text), "before")
	if strings.ContainsAny(line, "\n\r\x00") {
		t.Fatalf("%q is not a line", line)
	}
	back, err := message.Parse(line)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	want := fieldsOf(m)
	if m.Service() == "" {
		*want.Server = "" // not written
	}
	if diff := cmp.Diff(want, fieldsOf(back)); diff != "" {
		t.Fatalf("%q: written (-), read back (+):\n%s", line, diff)
	}
	cpp, ok := cppRead(line)
	if diff := cmp.Diff(parametersOf(m), cpp); !ok || diff != "" {
		t.Fatalf("%q: written (-), read by the C++ library (+), %v:\n%s", line, ok, diff)
	}
	return true
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
			if checkReadBack(t, m) {
				written++
			} else {
				refused++
			}
		}
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

func TestRandomMessagesAreReadBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "é", "\xff", `"`, `\`, `\\`, `\"`, ";", " ", "\t", "\v", "\f", "\n", "\r", "=", "n", "r", "<", "/", "long text"}
	for range 2000 {
		m := message.New("CMD")
		for i := range random.IntN(10) {
			var value strings.Builder
			for range random.IntN(8) {
				value.WriteString(pieces[random.IntN(len(pieces))])
			}
			m.Set(fmt.Sprint("p", i), value.String())
		}
		checkReadBack(t, m)
	}
}

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
		var e *message.Error
		if m != nil || !errors.Is(err, tt.err) || !errors.As(err, &e) {
			t.Errorf("%q: %v, %v, want %v", tt.text, m, err, tt.err)
			continue
		}
		if e.Offset != tt.offset || e.Field != tt.field || e.Name != tt.name || e.Reason == "" {
			t.Errorf("%q: got %#v", tt.text, e)
		}
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

func TestParseIsNotQuadratic(t *testing.T) {
	// A datagram of the worst kinds; with quadratic steps each takes seconds.
	const size = 1 << 20
	var backwards strings.Builder
	backwards.WriteString("PING ")
	for i := size / 8; i > 0; i-- {
		fmt.Fprintf(&backwards, "a%06d=;", i)
	}
	for name, text := range map[string]string{
		"backslashes":    "PING a=" + strings.Repeat(`\`, size),
		"quoted quotes":  `PING a="` + strings.Repeat(`\"`, size/2) + `"`,
		"no close":       `PING a="` + strings.Repeat(`\"`, size/2),
		"same name":      "PING " + strings.Repeat("a=;", size/3),
		"names backward": backwards.String(),
		"blanks":         strings.Repeat(" ", size) + "P",
	} {
		parser := message.Parser{MaxSize: -1, MaxParameters: -1}
		m, err := parser.Parse(text)
		if (err != nil) != (name == "no close") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "names backward" && m.Len() != size/8 {
			t.Errorf("%s: %d parameters", name, m.Len())
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"PING", " PING\r\n", "<a:b c:d/PING e=f;g=\"h;i\";", "a:PING x=", `PING a="x\\"y";b=\n\r\\`,
		"PING z=1;a=2;z=3", "PING a=1;b=2;c=3;d=4;e=5;f=6;g=7", "{\"command\":\"PING\"}", "PING a=\x00", "./PING a= ;b= ",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := message.Parse(text)
		cpp, ok := cppRead(text)
		if err != nil {
			if m != nil || err.Error() == "" {
				t.Fatalf("%q: %v, %v", text, m, err)
			}
			return
		}
		if strings.HasPrefix(strings.TrimSpace(text), "{") {
			return // JSON
		}
		if diff := cmp.Diff(cpp, parametersOf(m)); !ok || diff != "" {
			t.Fatalf("%q: the C++ library (-), %v, this one (+):\n%s", text, ok, diff)
		}
		if !checkReadBack(t, m) {
			t.Fatalf("%q was read but can't be written", text)
		}
		_ = m.String()
		same := message.New("OTHER").Set("x", "y")
		if err := same.UnmarshalText([]byte(text)); err != nil || same.String() != m.String() {
			t.Fatalf("%q: UnmarshalText: %v, %v", text, same, err)
		}
	})
}
