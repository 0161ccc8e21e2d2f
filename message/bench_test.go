package message_test

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

const typical = "<web1:frontend db1:store/FETCH_USER count=10;fields=name;id=12345;lang=en;serial=77"

// leak keeps messages from being allocated on the stack.
var leak *message.Message

func TestAllocations(t *testing.T) {
	line := []byte(typical)
	m, err := message.Parse(typical)
	if err != nil {
		t.Fatal(err)
	}
	object, err := m.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var parser message.Parser
	buffer := make([]byte, 0, 512)
	for _, tt := range []struct {
		name string
		want float64
		call func() error
	}{
		{"Parse", 2, func() (err error) { leak, err = message.Parse(string(line)); return err }}, // the message and the string
		{"Parse of JSON", 2, func() (err error) { leak, err = message.Parse(string(object)); return err }},
		{"ParseBytes", 2, func() (err error) { leak, err = parser.ParseBytes(line); return err }},
		{"UnmarshalText", 1, func() error { return m.UnmarshalText(line) }},
		{"UnmarshalJSON", 1, func() error { return m.UnmarshalJSON(object) }},
		{"AppendText", 0, func() error { _, err := m.AppendText(buffer); return err }},
		{"AppendJSON", 0, func() error { _, err := m.AppendJSON(buffer, message.JSONOptions{}); return err }},
		{"AppendJSON with numbers", 0, func() error {
			_, err := m.AppendJSON(buffer, message.JSONOptions{Numbers: true})
			return err
		}},
	} {
		got := testing.AllocsPerRun(100, func() {
			if err := tt.call(); err != nil {
				t.Fatal(err)
			}
		})
		if got > tt.want {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.want)
		}
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
