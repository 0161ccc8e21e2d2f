package message_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"

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

func TestHandlerFunc(t *testing.T) {
	failure := errors.New("failure")
	var h message.Handler = message.HandlerFunc(func(message.Sender, *message.Message) error { return failure })
	if err := h.HandleMessage(nil, message.New("PING")); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func TestMessageInsideAStructure(t *testing.T) {
	type envelope struct{ M *message.Message }
	text, err := json.Marshal(envelope{message.New("PING").Set("a", "1")})
	if want := `{"M":{"command":"PING","parameters":{"a":"1"}}}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
	var back envelope
	if err := json.Unmarshal(text, &back); err != nil || back.M.String() != "PING a=1" {
		t.Errorf("got %v, %v", back.M, err)
	}
}

const typical = "<web1:frontend db1:store/FETCH_USER count=10;fields=name;id=12345;lang=en;serial=77"

// leak keeps messages from being allocated on the stack.
var leak *message.Message

func TestAllocations(t *testing.T) {
	line := []byte(typical)
	if n := testing.AllocsPerRun(100, func() {
		m, err := message.Parse(string(line))
		if err != nil {
			t.Fatal(err)
		}
		leak = m
	}); n > 2 {
		t.Errorf("Parse: %v allocations, want 2", n)
	}

	m, err := message.Parse(typical)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := m.UnmarshalText(line); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("UnmarshalText: %v allocations, want 1", n)
	}

	buffer := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := m.AppendText(buffer); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("AppendText: %v allocations, want 0", n)
	}
}

func BenchmarkParse(b *testing.B) {
	line := []byte(typical)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		m, err := message.Parse(string(line))
		if err != nil {
			b.Fatal(err)
		}
		leak = m
	}
}

func BenchmarkUnmarshalText(b *testing.B) {
	line := []byte(typical)
	m := new(message.Message)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if err := m.UnmarshalText(line); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendText(b *testing.B) {
	m, err := message.Parse(typical)
	if err != nil {
		b.Fatal(err)
	}
	var buffer []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(typical)))
	for b.Loop() {
		if buffer, err = m.AppendText(buffer[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuildAndAppendText(b *testing.B) {
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		m := message.New("FETCH_USER").SetServer("db1").SetService("store").
			SetSentFromServer("web1").SetSentFromService("frontend").
			Set("id", "12345").Set("fields", "name;mail").Set("lang", "en").Set("count", "10").Set("serial", "77")
		var err error
		if buffer, err = m.AppendText(buffer[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	m, err := message.Parse(typical)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if m.Get("id") == "" || m.Get("serial") == "" {
			b.Fatal("missing")
		}
	}
}

func BenchmarkParseJSON(b *testing.B) {
	m, err := message.Parse(typical)
	if err != nil {
		b.Fatal(err)
	}
	text, err := m.MarshalJSON()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if leak, err = message.Parse(string(text)); err != nil {
			b.Fatal(err)
		}
	}
}
func BenchmarkAppendJSON(b *testing.B) {
	m, err := message.Parse(typical)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		if buf, err = m.AppendJSON(buf[:0], message.JSONOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
