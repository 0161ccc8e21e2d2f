package dispatcher_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// TestHandlersRefuse: what a getter returns can be returned, and refuses the message.
func TestHandlersRefuse(t *testing.T) {
	mux, log := quiet()
	mux.HandleFunc("FETCH", func(from message.Sender, m *message.Message) error {
		id, err := message.GetInt[int8](m, "id")
		if err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		return from.Send(m.Reply("FOUND").SetInt("id", int64(id)))
	})
	for text, want := range map[string]string{
		"<a:b FETCH id=5":   "a:b/FOUND id=5",
		"<a:b FETCH":        `a:b/INVALID command=FETCH;message=parameter "id": missing`,
		"<a:b FETCH id=500": `a:b/INVALID command=FETCH;message=parameter "id": out of the range of int8`,
	} {
		if diff := cmp.Diff([]string{want}, dispatch(t, mux, text)); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", text, diff)
		}
	}
	if got := mux.Refused(); got != 2 {
		t.Errorf("%d refused", got)
	}
	if got := log.String(); strings.Count(got, "message refused") != 1 {
		t.Errorf("logged %q", got)
	}
	if err := mux.HandleMessage(nil, message.New("FETCH")); err != nil {
		t.Errorf("nobody to answer: %v", err)
	}
}

// TestLongReasonsFitIntoADatagram, of the 1024 bytes that the C++ library reads.
func TestLongReasonsFitIntoADatagram(t *testing.T) {
	mux, _ := quiet()
	mux.HandleFunc("PING", func(message.Sender, *message.Message) error {
		return &message.Error{Offset: -1, Reason: strings.Repeat("é", 5000), Err: message.ErrValue}
	})
	sent := dispatch(t, mux, "<"+strings.Repeat("a", 100)+":b PING")
	if len(sent) != 1 || len(sent[0]) > 1000 || !strings.HasSuffix(sent[0], "é...") {
		t.Errorf("sent %q", sent)
	}
}

// TestAnswersThatCanNotBeWritten: one odd message does not end its connection.
func TestAnswersThatCanNotBeWritten(t *testing.T) {
	mux, _ := quiet()
	if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
		t.Fatal(err)
	}
	lenient := message.Parser{Lenient: true}
	for _, tt := range []struct{ text, want string }{
		{`{"command":"ALIVE","parameters":{"serial":"\u0000"}}`, "INVALID command=ALIVE;"},
		{`{"command":"ALIVE","parameters":{"serial":";\\"}}`, "INVALID command=ALIVE;"},
		{`{"command":"HELP","sent-from-server":"a b","sent-from-service":"x"}`, ""},
		{`{"command":"A;\\"}`, ""},
	} {
		m, err := lenient.Parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		var w wire
		if err := mux.HandleMessage(&w, m); err != nil {
			t.Errorf("%s: %v", tt.text, err)
		}
		if got := strings.Join(w.lines, "\n"); (got == "") != (tt.want == "") || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: answered by %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestRegexpStandsForItself(t *testing.T) {
	mux, _ := quiet()
	var called calls
	if err := mux.Add(dispatcher.Match{Regexp: "A)|(?:B", Handler: called.handler("pasted")}); !errors.Is(err, dispatcher.ErrMatch) {
		t.Errorf("got %v, want ErrMatch", err)
	} else if strings.Contains(err.Error(), "^") || strings.Contains(err.Error(), `\A`) {
		t.Errorf("%v: the user never wrote that", err)
	}
	mustAdd(t, mux, dispatcher.Match{Regexp: `A\QB`, Handler: called.handler("quoted")})
	mustAdd(t, mux, dispatcher.Match{Regexp: `(?m)^C$`, Handler: called.handler("lines")})
	for _, command := range []string{"AB", "XAB", "ABX", "C", "CX"} {
		dispatch(t, mux, command)
	}
	if got := called.take(); got != "quoted lines" {
		t.Errorf("called: %q", got)
	}
}

func TestHandleBesideAnObserver(t *testing.T) {
	mux, _ := quiet()
	var called calls
	mustAdd(t, mux, dispatcher.Match{Command: "PING", Observer: true, Handler: called.handler("observer")})
	mux.Handle("PING", called.handler("handler"))
	dispatch(t, mux, "PING")
	if got := called.take(); got != "observer handler" {
		t.Errorf("called: %q", got)
	}
}

func TestNilFunctionIsNoHandler(t *testing.T) {
	mux, _ := quiet()
	if err := mux.Add(dispatcher.Match{Command: "PING", Handler: message.HandlerFunc(nil)}); !errors.Is(err, dispatcher.ErrNoHandler) {
		t.Errorf("got %v, want ErrNoHandler", err)
	}
}

func TestRefusedPatternIsNamed(t *testing.T) {
	mux, _ := quiet()
	err := mux.Add(dispatcher.Match{Command: "a-*", Handler: message.HandlerFunc(func(message.Sender, *message.Message) error { return nil })})
	if !errors.Is(err, message.ErrName) || !strings.Contains(err.Error(), `"a-*"`) {
		t.Errorf("got %v", err)
	}
}
