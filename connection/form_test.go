//go:build linux

package connection_test

import (
	"errors"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// messagePair puts both ends of a socketpair on a loop; both handle messages in the same way.
func messagePair(tb testing.TB, loop connection.Loop, h message.Handler, config connection.MessageConfig) (ends [2]*connection.MessageConn) {
	tb.Helper()
	a, b := pair(tb, unix.SOCK_STREAM)
	for i, fd := range []int{a, b} {
		socket, err := connection.NewSocket(fd)
		if err != nil {
			tb.Fatal(err)
		}
		if ends[i], err = connection.NewMessageConn(loop, socket, h, config); err != nil {
			tb.Fatal(err)
		}
	}
	return ends
}

// TestTwoConnectionsDoNotRefuseForEver: both send what the other does not accept, INVALID included. Lines
// go to and fro behind it, which both accept: an answer to INVALID would come in front of the next one.
func TestTwoConnectionsDoNotRefuseForEver(t *testing.T) {
	for name, parser := range map[string]message.Parser{
		"form":  {Form: message.FormJSON},
		"names": {MaxName: 6},
		"size":  {MaxSize: 20},
	} {
		loop, log := looptest.New(t)
		rounds := 0
		h := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
			if m.Command() != "SYNC" {
				t.Errorf("%s: accepted %v", name, m)
			}
			if rounds++; rounds > 10 {
				loop.Stop(nil)
				return nil
			}
			_, err := io.WriteString(from.(*connection.MessageConn).Stream(), `{"command":"SYNC"}`+"\n")
			return err
		})
		ends := messagePair(t, loop, h, connection.MessageConfig{Parser: parser})
		_, err := io.WriteString(ends[0].Stream(), "EVENT_DONE reason=too_long\n"+`{"command":"SYNC"}`+"\n")
		if err != nil {
			t.Fatal(err)
		}
		run(t, loop)
		if ends[0].Sent() != 0 || ends[1].Sent() != 1 || ends[0].Skipped() != 1 || ends[1].Skipped() != 1 {
			t.Errorf("%s: sent %d and %d, skipped %d and %d, logged %q", name,
				ends[0].Sent(), ends[1].Sent(), ends[0].Skipped(), ends[1].Skipped(), log.Records())
		}
	}
}

// TestRefusedRefusalsAreNotAnswered: a line that is no message here, but would be INVALID or UNKNOWN elsewhere.
func TestRefusedRefusalsAreNotAnswered(t *testing.T) {
	for _, tt := range []struct {
		parser message.Parser
		line   string
		quiet  bool
	}{
		{message.Parser{Form: message.FormText}, `{"command":"INVALID"}`, true},
		{message.Parser{Form: message.FormText}, ` { "parameters":{"message":"no","a b":1},"command":"UNKNOWN"}`, true},
		{message.Parser{Form: message.FormText}, `{"command":"PING"}`, false},
		{message.Parser{Form: message.FormJSON}, "<a:b c:d/INVALID command=A;message=no", true},
		{message.Parser{Form: message.FormJSON}, "UNKNOWN", true},
		{message.Parser{Form: message.FormJSON}, "UNKNOWN_NOT", false},
		{message.Parser{Form: message.FormJSON}, "PING a=INVALID", false},
		{message.Parser{}, "<a-b:c.d INVALID command=A", true},
		{message.Parser{}, "<a-b:c.d UNKNOWN command=A", true},
		{message.Parser{}, "<a-b:c.d PING", false},
		{message.Parser{}, "INVALID " + strings.Repeat("a=1;", 2000), true},
		{message.Parser{}, "INVALID " + strings.Repeat("a", 1000) + "=1", true},
		{message.Parser{}, "invalid", false},
		{message.Parser{MaxSize: 10}, "INVALID message=long", true},
		{message.Parser{MaxSize: 10}, "PING message=long", false},
		{message.Parser{MaxName: 4}, "UNKNOWN", true},
		{message.Parser{MaxParameters: 1}, "UNKNOWN command=A;message=B", true},
	} {
		want := []string{"INVALID message=*", "PONG"}
		if tt.quiet {
			want = want[1:]
		}
		config := connection.MessageConfig{Parser: tt.parser}
		after := "PING\n"
		if tt.parser.Form == message.FormJSON {
			after = `{"command":"PING"}` + "\n"
		}
		got := exchanges(t, service(t), config, []string{tt.line + "\n" + after})[0]
		lines := strings.Split(strings.TrimSuffix(got.replies, "\n"), "\n")
		if !slices.EqualFunc(lines, want, matches) || got.cause != "<nil>" {
			t.Errorf("%.50q: answered by %.300q, want %q; ended with %s", tt.line, lines, want, got.cause)
		}
	}
}

// talk handles what both ends of a conversation in JSON say to each other.
func talk(tb testing.TB, heard *[]string, stop func()) message.Handler {
	tb.Helper()
	mux := dispatcher.New(dispatcher.Config{Logger: slog.New(slog.DiscardHandler)})
	note := func(m *message.Message) { *heard = append(*heard, m.String()) }
	mux.HandleFunc("PING", func(from message.Sender, m *message.Message) error {
		note(m)
		if m.Get("a") == "\xff" {
			return from.Send(m.Reply("PONG").Set("a", m.Get("a")))
		}
		return from.Send(m.Reply("PONG").Set("a", m.Get("a")+"!"))
	})
	hear := func(_ message.Sender, m *message.Message) error { note(m); return nil }
	mux.HandleFunc("PONG", hear)
	mux.HandleFunc("INVALID", hear)
	mux.HandleFunc("UNKNOWN", func(_ message.Sender, m *message.Message) error { note(m); stop(); return nil })
	if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
		tb.Fatal(err)
	}
	return mux
}

// TestBothEndsSpeakJSON, and accept nothing else.
func TestBothEndsSpeakJSON(t *testing.T) {
	loop, _ := looptest.New(t)
	var heard []string
	config := connection.MessageConfig{Form: message.FormJSON, Parser: message.Parser{Form: message.FormJSON}}
	ends := messagePair(t, loop, talk(t, &heard, func() { loop.Stop(nil) }), config)
	if err := ends[0].Send(message.New("PING").Set("a", "two\nlines; \"quoted\"")); err != nil {
		t.Fatal(err)
	}
	if err := ends[0].Send(message.New("PING").Set("a", "\xff")); !errors.Is(err, message.ErrUnsendable) {
		t.Errorf("sent what is not UTF-8: %v", err)
	}
	if _, err := io.WriteString(ends[0].Stream(), "PING\n"); err != nil {
		t.Fatal(err)
	}
	if err := ends[0].Send(message.New("DANCE")); err != nil {
		t.Fatal(err)
	}
	run(t, loop)
	want := []string{
		`PING a="two\nlines; \"quoted\""`,
		`PONG a="two\nlines; \"quoted\"!"`,
		"INVALID message=message: at byte 0: not a JSON object",
		"UNKNOWN command=DANCE",
	}
	if !slices.EqualFunc(heard, want, matches) {
		t.Errorf("want (-), got (+):\n%s", cmp.Diff(want, heard))
	}
	if ends[0].Sent() != 2 || ends[1].Sent() != 3 || ends[0].Skipped() != 0 || ends[1].Skipped() != 1 {
		t.Errorf("sent %d and %d, skipped %d and %d", ends[0].Sent(), ends[1].Sent(), ends[0].Skipped(), ends[1].Skipped())
	}
}

// TestFormOfAnswers is that of the configuration, not that of the request; what it can't carry refuses the request.
func TestFormOfAnswers(t *testing.T) {
	input := "PING a=1\n" + `{"command":"PING","parameters":{"a":2}}` + "\nnoise\nPING a=\xff\nDANCE\n"
	for form, want := range map[message.Form][]string{
		message.FormAuto: {"PONG a=1!", "PONG a=2!", "INVALID message=*", "PONG a=\xff", "UNKNOWN command=DANCE"},
		message.FormText: {"PONG a=1!", "PONG a=2!", "INVALID message=*", "PONG a=\xff", "UNKNOWN command=DANCE"},
		message.FormJSON: {
			`{"command":"PONG",*`, `{"command":"PONG",*`, `{"command":"INVALID",*`, `{"command":"INVALID",*`, `{"command":"UNKNOWN",*`,
		},
	} {
		var heard []string
		got := exchanges(t, talk(t, &heard, func() {}), connection.MessageConfig{Form: form}, []string{input})[0]
		lines := strings.Split(strings.TrimSuffix(got.replies, "\n"), "\n")
		if !slices.EqualFunc(lines, want, matches) || got.cause != "<nil>" {
			t.Errorf("%v: ended with %s; want (-), got (+):\n%s", form, got.cause, cmp.Diff(want, lines))
		}
		for _, line := range lines {
			if _, err := message.Parse(line); err != nil {
				t.Errorf("%v: %q: %v", form, line, err)
			}
		}
	}
}

// TestDatagramsInJSON: the form that is sent, of which MaxSend counts the bytes; both forms are read, and longer ones.
func TestDatagramsInJSON(t *testing.T) {
	const most = 100
	loop, _ := looptest.New(t)
	var heard []string
	var coverage message.Coverage
	layer := connection.NewMessageDatagrams(talk(t, &heard, func() { loop.Stop(nil) }), connection.MessageDatagramConfig{
		Form: message.FormJSON, MaxSend: most, Coverage: &coverage,
	})
	d := newDatagram(t, loop, udpSocket(t), layer, connection.DatagramConfig{})
	conn := client(t, d)
	sender := layer.SenderTo(d, peerOf(conn))
	frame, err := message.New("M").Set("a", "").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	exact := message.New("M").Set("a", strings.Repeat("x", most-len(frame)))
	if err := sender.Send(exact); err != nil {
		t.Errorf("%d bytes: %v", most, err)
	}
	if got := receive(t, conn); len(got) != most {
		t.Errorf("%d bytes came, want %d", len(got), most)
	}
	if err := sender.Send(exact.Set("a", exact.Get("a")+"x")); !errors.Is(err, connection.ErrSize) {
		t.Errorf("%d bytes: %v, want %v", most+1, err, connection.ErrSize)
	}
	if err := sender.Send(message.New("M").Set("a", "\xff")); !errors.Is(err, message.ErrUnsendable) {
		t.Errorf("sent what is not UTF-8: %v", err)
	}

	long := strings.Repeat("x", 2*most)
	for _, text := range []string{`{"command":"PING","parameters":{"a":"1"}}`, "PING a=2;long=" + long, "noise", "PING a=" + long, "UNKNOWN"} {
		send(t, conn, text)
	}
	run(t, loop)
	for _, want := range []string{"1!", "2!"} {
		text := receive(t, conn)
		m, err := message.Parse(text)
		if message.FormOf([]byte(text)) != message.FormJSON || err != nil || m.String() != "PONG a="+want {
			t.Errorf("answered %q, %v", text, err)
		}
	}
	if len(heard) != 4 || layer.Skipped() != 1 || d.Sent() != 3 {
		t.Errorf("heard %.50q, %d skipped, %d sent", heard, layer.Skipped(), d.Sent())
	}
	if diff := cmp.Diff(map[string]uint64{"PONG": 2, "M": 1}, coverage.Sent()); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// TestKeptMessagesAreLeftAlone: connections and datagram sockets don't look at a message that its handler
// has kept. The race detector would tell.
func TestKeptMessagesAreLeftAlone(t *testing.T) {
	const messages = 20
	var group sync.WaitGroup
	handled := 0
	keep := message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		handled++
		group.Go(func() { m.Set("a", "changed").Set("new", "parameter").SetServer("elsewhere") })
		return nil
	})
	got := exchanges(t, keep, connection.MessageConfig{}, []string{strings.Repeat("PING a=1\n", messages)})[0]
	loop, _ := looptest.New(t)
	layer := connection.NewMessageDatagrams(keep, connection.MessageDatagramConfig{})
	d := newDatagram(t, loop, udpSocket(t), layer, connection.DatagramConfig{})
	data := []byte("PING a=1")
	for range messages {
		if err := layer.HandleDatagram(d, data, connection.Peer{}); err != nil {
			t.Error(err)
		}
		copy(data, "????????") // the bytes are the socket's
		copy(data, "PING a=1")
	}
	group.Wait()
	if handled != 2*messages || got.cause != "<nil>" {
		t.Errorf("%d handled, ended with %s", handled, got.cause)
	}
}

// TestLongRefusalIsNotParsed: a line that is refused for its length costs no more when it says INVALID.
func TestLongRefusalIsNotParsed(t *testing.T) {
	line := "INVALID " + strings.Repeat("a=;", 300_000) + "\n"
	loop, _ := looptest.New(t)
	never := message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		t.Errorf("got %.100v", m)
		return nil
	})
	conn, err := connection.NewMessageConn(loop, newPieces(t, line), never, connection.MessageConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run(t, loop)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 16<<20 || conn.Skipped() != 1 || conn.Sent() != 0 {
		t.Errorf("allocated %d bytes, %d skipped, %d sent", allocated, conn.Skipped(), conn.Sent())
	}
}
