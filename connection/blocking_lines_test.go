//go:build linux

package connection_test

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// answers answers each line with the next of some texts, which goes out in pieces of so many bytes; it
// echoes after that.
func answers(size int, texts ...string) func(int, *end) {
	next := 0
	return func(n int, conn *end) {
		lines := bufio.NewReader(conn)
		for next < len(texts) {
			if _, err := lines.ReadString('\n'); err != nil {
				return
			}
			text := texts[next]
			next++
			for piece := range slices.Chunk([]byte(text), size) {
				if _, err := conn.Write(piece); err != nil {
					return
				}
			}
		}
		echoes(n, conn)
	}
}

// TestBlockingLines: replies in pieces, with empty lines before them, and with CR LF.
func TestBlockingLines(t *testing.T) {
	long := "LONG v=" + strings.Repeat("x", 20_000)
	for _, size := range []int{1, 3, 4096, 1 << 20} {
		b, f := newFar(t, socketpairs, connection.BlockingConfig{}, answers(size, "REPLY a=1\n", "\n\n\nREPLY a=2\n", "\r\nREPLY a=3\r\n", long+"\n"))
		for _, want := range []string{"REPLY a=1", "REPLY a=2", "REPLY a=3", long} {
			if size == 1 && want == long {
				continue // it takes long
			}
			if reply, err := b.Call(patient(t), message.New("ASK")); err != nil || reply.String() != want {
				t.Errorf("in pieces of %d: %.50v, %v, want %.50s", size, reply, err, want)
			}
		}
		if n := f.dialled(); n != 1 {
			t.Errorf("%d connections", n)
		}
	}
}

// TestBlockingInputLimit: a line may be as long as MaxInput, without its end. A longer one, even
// unfinished, ends the call, and the next one dials.
func TestBlockingInputLimit(t *testing.T) {
	for _, limit := range []int{100, 4095, 4096, 10_000} {
		line := func(size int) string { return "R v=" + strings.Repeat("x", size-len("R v=")) }
		for text, fits := range map[string]bool{
			line(limit-1) + "\n":            true,
			line(limit) + "\n":              true,
			line(limit+1) + "\n":            false,
			line(3 * limit):                 false,
			"\n\n" + line(limit) + "\nREST": true,
		} {
			b, f := newFar(t, socketpairs, connection.BlockingConfig{MaxInput: limit}, answers(1<<20, text))
			reply, err := b.Call(patient(t), message.New("ASK"))
			if fits && (err != nil || reply.String() != strings.Fields(text)[0]+" "+strings.Fields(text)[1]) {
				t.Errorf("limit %d, %d bytes: %v", limit, len(text), err)
			}
			if !fits {
				if !errors.Is(err, connection.ErrInputLimit) || reply != nil {
					t.Errorf("limit %d, %d bytes: %.20v, %v", limit, len(text), reply, err)
				}
				ask(t, b, 1)
				if n := f.dialled(); n != 2 {
					t.Errorf("%d connections", n)
				}
			}
		}
	}
}

// TestBlockingNoMessage: a line that is no message is an error of the call.
func TestBlockingNoMessage(t *testing.T) {
	b, f := newFar(t, socketpairs, connection.BlockingConfig{}, answers(100, "what is this?\n"))
	var messageError *message.Error
	if reply, err := b.Call(patient(t), message.New("ASK")); !errors.As(err, &messageError) || reply != nil {
		t.Errorf("Call: %v, %v", reply, err)
	}
	ask(t, b, 1)
	if n := f.dialled(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestBlockingUnwritable: a message that can't be written is not sent, and does no harm to the connection.
func TestBlockingUnwritable(t *testing.T) {
	b, f := newFar(t, socketpairs, connection.BlockingConfig{}, echoes)
	ask(t, b, 1)
	var messageError *message.Error
	if err := b.Send(patient(t), message.New("no name")); !errors.As(err, &messageError) {
		t.Errorf("Send: %v", err)
	}
	ask(t, b, 2)
	if n := f.dialled(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestBlockingIsReply: what is no reply goes to Other, in order, or is dropped; without IsReply the first
// message is the reply.
func TestBlockingIsReply(t *testing.T) {
	const text = "NEWS i=1\nPONG i=2\n\nNEWS i=3\nPONG i=1\nNEWS i=4\n"
	isReply := func(request, came *message.Message) bool {
		return came.Command() == "PONG" && came.Get("i") == request.Get("i")
	}
	var other []string
	for _, c := range []struct {
		config connection.BlockingConfig
		reply  string
		other  []string
	}{
		{connection.BlockingConfig{}, "NEWS i=1", nil},
		{connection.BlockingConfig{IsReply: isReply}, "PONG i=1", nil},
		{connection.BlockingConfig{IsReply: isReply, Other: func(m *message.Message) { other = append(other, m.String()) }},
			"PONG i=1", []string{"NEWS i=1", "PONG i=2", "NEWS i=3"}},
	} {
		other = nil
		b, _ := newFar(t, socketpairs, c.config, answers(7, text))
		reply, err := b.Call(patient(t), message.New("PING").SetInt("i", 1))
		if err != nil || reply.String() != c.reply || !slices.Equal(other, c.other) {
			t.Errorf("%v, %v, others %q; want %q, %q", reply, err, other, c.reply, c.other)
		}
	}
}

// TestBlockingSend: what is sent without a reply goes out in order, in the form that was asked for.
func TestBlockingSend(t *testing.T) {
	for form, want := range map[message.Form]string{
		message.FormText: "A v=1\nB\n",
		message.FormJSON: `{"command":"A","parameters":{"v":"1"}}` + "\n" + `{"command":"B"}` + "\n",
	} {
		got := make(chan string, 1)
		b, _ := newFar(t, pipePairs, connection.BlockingConfig{Form: form}, func(_ int, conn *end) {
			all, _ := io.ReadAll(conn)
			got <- string(all)
		})
		if err := errors.Join(
			b.Send(patient(t), message.New("A").Set("v", "1")),
			b.Send(patient(t), message.New("B")),
			b.Close(),
		); err != nil {
			t.Error(err)
		}
		all := <-got
		for _, line := range strings.SplitAfter(all, "\n") {
			if _, err := message.Parse(strings.TrimSpace(line)); line != "" && err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
		if form == message.FormText && all != want || strings.Count(all, "\n") != 2 || strings.HasPrefix(all, "{") != strings.HasPrefix(want, "{") {
			t.Errorf("sent %q, want %q", all, want)
		}
	}
}

// TestBlockingLenient: the parser is the one that was given.
func TestBlockingLenient(t *testing.T) {
	config := connection.BlockingConfig{Parser: message.Parser{MaxSize: 10}}
	b, _ := newFar(t, socketpairs, config, answers(100, "REPLY v=0123456789\n"))
	if _, err := b.Call(patient(t), message.New("ASK")); !errors.Is(err, message.ErrLimit) {
		t.Errorf("Call: %v", err)
	}
}
