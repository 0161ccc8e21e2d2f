package benchmarks_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// fetchUser is a message with sender, destination and five short parameters.
const fetchUser = "<web1:frontend db1:store/FETCH_USER city=Berlin;id=100042;lang=de;limit=10;session=a81f5c"

// big is the length of the large messages, in bytes.
const big = 64 << 10

// nobody is a sender that is never used.
type nobody struct{}

func (nobody) Send(*message.Message) error { return nil }

// BenchmarkMessageParseDispatchAppend is what a service does with a message that
// it passes on, without the connection.
func BenchmarkMessageParseDispatchAppend(b *testing.B) {
	var parser message.Parser
	mux := dispatcher.New(dispatcher.Config{})
	var got *message.Message
	mux.HandleFunc("FETCH_USER", func(_ message.Sender, m *message.Message) error { got = m; return nil })
	if err := mux.AddDefaults(dispatcher.Service{Name: "store"}); err != nil {
		b.Fatal(err)
	}
	line, out := []byte(fetchUser), make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		m, err := parser.ParseBytes(line)
		if err != nil {
			b.Fatal(err)
		}
		if err := mux.HandleMessage(nobody{}, m); err != nil {
			b.Fatal(err)
		}
		if out, err = got.AppendText(out[:0]); err != nil {
			b.Fatal(err)
		}
		got = nil // so that a message that is not handled panics
	}
	if !bytes.Equal(out, line) {
		b.Fatalf("got %q", out)
	}
}

// BenchmarkMessageParse64KiB reads messages of 64 KiB: its MB/s must not depend
// much on what they consist of.
func BenchmarkMessageParse64KiB(b *testing.B) {
	const count, size = 600, big / 600
	var many strings.Builder
	many.WriteString("BIG ")
	for i := range count {
		name := fmt.Sprintf("p%03d=", i)
		many.WriteString(name + strings.Repeat("v", size-len(name)-1) + ";")
	}
	const prefix = "BIG p000="
	for _, c := range []struct {
		name, text string
		parameters int
		value      string // of p000
	}{
		{"600Parameters", many.String(), count, strings.Repeat("v", size-len("p000=;"))},
		{"OneValue", prefix + strings.Repeat("v", big-len(prefix)), 1, strings.Repeat("v", big-len(prefix))},
		{"OneQuotedValue", prefix + `"` + strings.Repeat(";", big-len(prefix)-2) + `"`, 1, strings.Repeat(";", big-len(prefix)-2)},
		{"AllBackslashes", prefix + strings.Repeat(`\\`, (big-len(prefix))/2), 1, strings.Repeat(`\`, (big-len(prefix))/2)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var parser message.Parser
			text := []byte(c.text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var m *message.Message
			for b.Loop() {
				var err error
				if m, err = parser.ParseBytes(text); err != nil {
					b.Fatal(err)
				}
			}
			if m.Len() != c.parameters || m.Get("p000") != c.value {
				b.Fatalf("%d parameters, the first has %d bytes", m.Len(), len(m.Get("p000")))
			}
		})
	}
}

// BenchmarkMessageDispatch1000 finds the handlers of 1,000 exact commands, one
// after the other.
func BenchmarkMessageDispatch1000(b *testing.B) {
	const commands = 1000
	mux := dispatcher.New(dispatcher.Config{})
	messages, calls := make([]*message.Message, commands), make([]int, commands)
	for i := range commands {
		command := fmt.Sprintf("COMMAND_%d", i)
		messages[i] = message.New(command)
		mux.HandleFunc(command, func(message.Sender, *message.Message) error { calls[i]++; return nil })
	}
	if err := mux.AddDefaults(dispatcher.Service{Name: "store"}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := mux.HandleMessage(nobody{}, messages[n%commands]); err != nil {
			b.Fatal(err)
		}
		n++
	}
	for i, got := range calls {
		want := n / commands
		if i < n%commands {
			want++
		}
		if got != want {
			b.Fatalf("command %d: %d calls, want %d", i, got, want)
		}
	}
}

// BenchmarkMessageAppend writes a message into a buffer that is used again.
func BenchmarkMessageAppend(b *testing.B) {
	m, err := message.Parse(fetchUser)
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		if out, err = m.AppendText(out[:0]); err != nil {
			b.Fatal(err)
		}
	}
	if string(out) != fetchUser {
		b.Fatalf("got %q", out)
	}
}
