package message_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"unicode"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestParametersStaySorted(t *testing.T) {
	m := message.New("CMD")
	names := strings.Split("m c x a _ Z z9 b aB ab", " ")
	for i, name := range names {
		m.Set(name, "old").Set(name, name+"!")
		if m.Len() != i+1 {
			t.Fatalf("%d parameters after %d", m.Len(), i+1)
		}
	}
	if got, want := m.String(), "CMD Z=Z!;_=_!;a=a!;aB=aB!;ab=ab!;b=b!;c=c!;m=m!;x=x!;z9=z9!"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i, name := range names {
		if value, found := m.Lookup(name); !found || value != name+"!" {
			t.Errorf("%s: %q, %v", name, value, found)
		}
		m.Delete(name)
		m.Delete(name)
		if _, found := m.Lookup(name); found || m.Get(name) != "" || m.Len() != len(names)-i-1 {
			t.Errorf("%s is still there", name)
		}
	}
	if got := m.Set("again", "").String(); got != "CMD again=" {
		t.Errorf("got %q", got)
	}
}

// TestLastOfManyWins: of parameters with the same name, however many there are and wherever they stand.
func TestLastOfManyWins(t *testing.T) {
	const count, names = 500, 7
	want := map[string]string{}
	var list, members []string
	for i := range count {
		name, value := fmt.Sprint("p", i*i%names), fmt.Sprint(i)
		want[name] = value
		list = append(list, name+"="+value)
		members = append(members, fmt.Sprintf(`"%s":%s`, name, value))
	}
	for _, text := range []string{
		"CMD " + strings.Join(list, ";"),
		`{"command":"CMD","parameters":{` + strings.Join(members, ",") + `}}`,
	} {
		m, err := message.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := maps.Collect(m.Parameters()); !maps.Equal(got, want) {
			t.Errorf("%.20s...: got %v, want %v", text, got, want)
		}
	}
}

func TestDeleteFewParameters(t *testing.T) {
	m := message.New("CMD").Set("a", "1").Set("b", "2").Set("c", "3")
	m.Delete("a")
	m.Delete("c")
	if got := m.Set("d", "4").String(); got != "CMD b=2;d=4" {
		t.Errorf("got %q", got)
	}
}

func TestParametersStopsEarly(t *testing.T) {
	m := message.New("CMD").Set("a", "1").Set("b", "2")
	for name := range m.Parameters() {
		if name != "a" {
			t.Fatalf("went on to %s", name)
		}
		break
	}
}

func TestCloneIsIndependent(t *testing.T) {
	for _, text := range []string{"<a:b c:d/CMD p=1", "CMD a=1;b=2;c=3;d=4;e=5;f=6;g=7;p=8"} {
		m, err := message.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		c := m.Clone()
		c.Set("p", "changed").Set("q", "new").SetService("other")
		c.Delete("a")
		if got := m.String(); got != text {
			t.Errorf("%q became %q", text, got)
		}
		before := maps.Collect(c.Parameters())
		m.Set("p", "x").Delete("b")
		if after := maps.Collect(c.Parameters()); !maps.Equal(before, after) {
			t.Errorf("the clone changed from %v to %v", before, after)
		}
	}
	if c := message.New("bad").Clone(); !errors.Is(c.Err(), message.ErrName) {
		t.Errorf("the clone lost the error: %v", c.Err())
	}
}

func TestFirstRefusalIsKept(t *testing.T) {
	m := message.New("CMD").SetServer("a-b").SetService("ok").Set("no name", "secret").SetServer("fine")
	var e *message.Error
	if !errors.As(m.Err(), &e) || !errors.Is(e, message.ErrName) {
		t.Fatalf("got %v, want an *Error around ErrName", m.Err())
	}
	if e.Field != "server" || e.Name != "a-b" || e.Offset != -1 {
		t.Errorf("got %#v", e)
	}
	if m.Server() != "fine" || m.Service() != "ok" || m.Len() != 0 {
		t.Errorf("got %v", m)
	}
	if text, err := m.MarshalText(); text != nil || !errors.Is(err, m.Err()) {
		t.Errorf("MarshalText: %q, %v", text, err)
	}
	if text, err := m.AppendText([]byte("x")); string(text) != "x" || !errors.Is(err, m.Err()) {
		t.Errorf("AppendText: %q, %v", text, err)
	}
	if got := m.String(); !strings.Contains(got, "fine:ok/CMD") || !strings.Contains(got, `server "a-b"`) {
		t.Errorf("String: %q", got)
	}
	if err := m.UnmarshalText([]byte("PING")); err != nil || m.Err() != nil {
		t.Errorf("reading did not clear the error: %v, %v", err, m.Err())
	}
}

func TestZeroMessageCanNotBeSent(t *testing.T) {
	if _, err := new(message.Message).MarshalText(); !errors.Is(err, message.ErrName) {
		t.Errorf("got %v, want ErrName", err)
	}
}

func TestRoutingWords(t *testing.T) {
	for _, word := range []string{".", "*", "?"} {
		if err := message.New("CMD").SetServer(word).SetService(word).Err(); err != nil {
			t.Errorf("%q as a destination: %v", word, err)
		}
		if err := message.New("CMD").SetSentFromServer(word).Err(); err == nil {
			t.Errorf("%q as a sender is accepted", word)
		}
		if err := message.New("CMD").SetSentFromService(word).Err(); err == nil {
			t.Errorf("%q as a sender is accepted", word)
		}
	}
}

func TestReply(t *testing.T) {
	for request, want := range map[string]string{
		"<a:b x:y/PING n=1": "a:b/PONG",
		"<:b PING":          "b/PONG",
		"<a: PING":          "PONG",
		"x:y/PING":          "PONG",
	} {
		m, err := message.Parse(request)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Reply("PONG").String(); got != want {
			t.Errorf("%q is answered %q, want %q", request, got, want)
		}
	}
}

func TestReplyInvalid(t *testing.T) {
	for request, want := range map[string]string{
		"<a:b x:y/FETCH id=x": "a:b/INVALID command=FETCH;message=no \"id\"",
		"FETCH":               "INVALID command=FETCH;message=no \"id\"",
	} {
		m, err := message.Parse(request)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := m.ReplyInvalid(`no "id"`).MarshalText(); err != nil || string(text) != want {
			t.Errorf("%q is answered %q, %v, want %q", request, text, err, want)
		}
	}
}

func TestSecretIsNeitherLoggedNorInErrors(t *testing.T) {
	m := message.New("PING").Set("secret_code", "hush;\\").Set("a", "b")
	_, err := m.MarshalText()
	if !errors.Is(err, message.ErrUnsendable) {
		t.Fatalf("got %v, want ErrUnsendable", err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("sent", "message", m, "error", err)
	slog.New(slog.NewTextHandler(&log, nil)).Info("sent", "message", m, "error", err)
	log.WriteString(m.String())
	if strings.Contains(log.String(), "hush") {
		t.Errorf("the secret is in %s", &log)
	}
	if strings.Count(log.String(), "PING a=b;secret_code=(hidden)") != 3 {
		t.Errorf("the rest is not in %s", &log)
	}
	if m.Get("secret_code") != "hush;\\" {
		t.Error("the secret was changed")
	}
}

func TestErrorText(t *testing.T) {
	_, err := message.Parse("PING " + strings.Repeat("\x1b", 1000) + "=1")
	text := err.Error()
	if len(text) > 500 || strings.Contains(text, "\x1b") || !strings.Contains(text, "parameter") || !strings.Contains(text, "byte 5") {
		t.Errorf("got %q", text)
	}
	for _, text := range []string{"", "PING a", "ping"} {
		_, err := message.Parse(text)
		if got := err.Error(); !strings.HasPrefix(got, "message: ") || strings.Contains(got, ": :") {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestEqual(t *testing.T) {
	build := func() *message.Message {
		return message.New("CMD").SetServer("a").SetService("b").SetSentFromServer("c").SetSentFromService("d").Set("e", "f").Set("g", "")
	}
	m := build()
	if other := build(); !m.Equal(other) || !other.Equal(m) || !m.Equal(m) {
		t.Errorf("%v and %v are not equal", m, other)
	}
	if !m.Equal(build().SetServer("not-a-name")) {
		t.Error("what was refused counts")
	}
	if back, err := message.Parse(m.String()); err != nil || !m.Equal(back) {
		t.Errorf("%v is not equal to what was read: %v, %v", m, back, err)
	}
	without := build()
	without.Delete("g")
	for _, other := range []*message.Message{
		build().SetServer(""), build().SetService("x"), build().SetSentFromServer("x"), build().SetSentFromService("x"),
		build().Set("e", "x"), build().Set("x", ""), without, new(message.Message),
		message.New("OTHER").SetServer("a").SetService("b").SetSentFromServer("c").SetSentFromService("d").Set("e", "f").Set("g", ""),
	} {
		if m.Equal(other) || other.Equal(m) {
			t.Errorf("%v and %v are equal", m, other)
		}
	}

	// However the parameters came in, and whether there were more once.
	few, many := message.New("CMD"), message.New("CMD")
	for i := range 10 {
		many.Set(fmt.Sprint("p", 9-i), fmt.Sprint(i))
	}
	for i := range 8 {
		many.Delete(fmt.Sprint("p", i))
	}
	if few.Set("p8", "1").Set("p9", "0"); !few.Equal(many) || !many.Equal(few) {
		t.Errorf("%v and %v are not equal", few, many)
	}
}

func TestHas(t *testing.T) {
	m := message.New("CMD").Set("a", "").Set("c", "x")
	for name, want := range map[string]bool{"a": true, "c": true, "b": false, "A": false, "": false, "not a name": false} {
		if got := m.Has(name); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
	if m.Err() != nil {
		t.Errorf("asking is an error: %v", m.Err())
	}
}

func TestRegisterAndUnregister(t *testing.T) {
	for _, service := range []string{"snapinit", "_A1", strings.Repeat("s", 300)} {
		if text, err := message.NewRegister(service).MarshalText(); err != nil || string(text) != "REGISTER service="+service+";version=1" {
			t.Errorf("got %s, %v", text, err)
		}
		if err := message.NewRegister(service).CheckVersion(); err != nil {
			t.Error(err)
		}
		if text, err := message.NewUnregister(service).MarshalText(); err != nil || string(text) != "UNREGISTER service="+service {
			t.Errorf("got %s, %v", text, err)
		}
	}
	for _, service := range []string{"", "a-b", "1a", "a b", ".", "*", "é"} {
		for _, m := range []*message.Message{message.NewRegister(service), message.NewUnregister(service)} {
			checkError(t, service, m.Err(), message.Error{Offset: -1, Field: "service", Name: service, Err: message.ErrName})
			if m.Has("service") {
				t.Errorf("%q is set", service)
			}
		}
	}
}

// TestErrorsAreOneLine: what a peer sends may reach a log, where it must not look like other lines.
func TestErrorsAreOneLine(t *testing.T) {
	for _, name := range []string{"a\nb", "\x1b[31m", "\u202e", "\xff", "\u2028", `"`, strings.Repeat("é", 10000)} {
		text := message.New(name).Err().Error()
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || len(text) > 500 {
			t.Errorf("%.20q: got %q", name, text)
		}
	}
}

// TestStringIsOneLine: whatever a peer puts into a message, a log or a terminal gets one line of printable text.
func TestStringIsOneLine(t *testing.T) {
	parser := message.Parser{Lenient: true}
	m, err := parser.ParseBytes([]byte("a\nb\x1b[31m p=\x1b]0;q=\xff\x9b\u009b\t1é\u202e\U000e0001"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.String(), `a\x0ab\x1b[31m p=\x1b]0;q=\xff\x9b\u009b\x091é\u202e\U000e0001`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLongMessagesInLogs: a peer does not choose how much is logged of its message.
func TestLongMessagesInLogs(t *testing.T) {
	m := message.New("PING").Set("v", strings.Repeat("é", 100_000))
	if got := m.LogValue().String(); len(got) > 1100 || !strings.HasPrefix(got, "PING v=éé") || !strings.HasSuffix(got, "é... (200007 bytes)") {
		t.Errorf("logged %d bytes, %q", len(got), got[len(got)-30:])
	}
	if got := len(m.String()); got != 200_007 {
		t.Errorf("String has %d bytes", got)
	}
}

// TestPiecesOfASecret: where quotes are forgotten, a piece of a secret passes for a name.
func TestPiecesOfASecret(t *testing.T) {
	_, err := message.Parse("LOGIN secret_code=pa;ss-word=;user=ada")
	if wrong := (*message.Error)(nil); !errors.As(err, &wrong) || strings.Contains(err.Error(), "ss-word") || wrong.Name != "(hidden)" {
		t.Errorf("got %v", err)
	}
}

func TestBadValue(t *testing.T) {
	err := message.BadValue("count", "negative")
	if got := err.Error(); !errors.Is(err, message.ErrValue) || got != `message: parameter "count": negative` {
		t.Errorf("got %s", got)
	}
}
