package dispatcher_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

// checked is quiet with the built in definitions, and these:
//
//	FETCH, EVENT_DONE   id, an integer that is required; secret_code, which may be there; no others
//	NO_HANDLER          a, which is required
func checked(tb testing.TB, config dispatcher.Config) (*dispatcher.Mux, *bytes.Buffer) {
	tb.Helper()
	set, err := definition.Load(definition.Config{})
	for _, d := range []definition.Definition{
		{Command: "FETCH", Closed: true, Parameters: []definition.Parameter{{Name: "id", Type: definition.Integer, Required: true}}},
		{Command: "EVENT_DONE", Closed: true, Parameters: []definition.Parameter{{Name: "id", Type: definition.Integer, Required: true}}},
		{Command: "NO_HANDLER", Parameters: []definition.Parameter{{Name: "a", Required: true}}},
	} {
		if err == nil {
			err = set.Add(&d)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	var log bytes.Buffer
	config.Definitions = set
	config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	return dispatcher.New(config), &log
}

// reply dispatches a message and returns its answer, nil if there is none.
func reply(tb testing.TB, mux *dispatcher.Mux, text string) *message.Message {
	tb.Helper()
	lines := dispatch(tb, mux, text)
	if len(lines) == 0 {
		return nil
	}
	m, err := message.Parse(lines[0])
	if err != nil || len(lines) > 1 {
		tb.Fatalf("%s: sent %q, %v", text, lines, err)
	}
	return m
}

func TestDefinitions(t *testing.T) {
	mux, log := checked(t, dispatcher.Config{})
	var called calls
	if err := mux.AddDefaults(dispatcher.Service{Ready: func(message.Sender, *message.Message) { called = append(called, "ready") }}); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, mux, dispatcher.Match{Command: "F*", Observer: true, Handler: called.handler("observer")})
	mux.Handle("FETCH", called.handler("fetch"))
	mux.Handle("FREE", called.handler("free"))
	mustAdd(t, mux, dispatcher.Match{Func: func(m *message.Message) bool { return m.Has("f") }, Handler: called.handler("function")})
	refused := uint64(0)
	for _, tt := range []struct {
		text, called string
		reply        string // its command, with the parameter command, and who gets it
		says         string // part of the parameter message
	}{
		{"FETCH id=1", "observer fetch", "", ""},
		{"FETCH id=1;secret_code=hush", "observer fetch", "", ""},
		{"FREE id=x;any=thing", "observer free", "", ""},
		{"F", "observer", "", ""},
		{"READY my_address=127.0.0.1:4040", "ready", "", ""},

		{"FETCH", "", ":/INVALID FETCH", "id"},
		{"<web:shop db:store/FETCH id=1x", "", "web:shop/INVALID FETCH", "id"},
		{"<web:shop FETCH id=", "", "web:shop/INVALID FETCH", "id"},
		{"<:shop FETCH id=-", "", ":shop/INVALID FETCH", "id"},
		{"FETCH id=1;other=hush", "", ":/INVALID FETCH", "other"},
		{"FETCH f=1;id=y", "", ":/INVALID FETCH", "id"},
		{"READY my_address=xyz", "", ":/INVALID READY", "my_address"},
		{"<a:b ALIVE serial=", "", "a:b/INVALID ALIVE", "serial"},
		{`{"command":"FETCH","sent-from-server":"a","sent-from-service":"b","parameters":{"id":"1.5"}}`, "", "a:b/INVALID FETCH", "id"},

		// Never answered.
		{"<a:b INVALID command=", "", "", "-"},
		{"<a:b INVALID message=;command=A", "", "", "-"},
		{"<a:b UNKNOWN command=", "", "", "-"},

		// Nobody handles these, so nobody checks them.
		{"NO_HANDLER a=1", "", ":/UNKNOWN NO_HANDLER", ""},
		{"NO_HANDLER", "", ":/UNKNOWN NO_HANDLER", ""},
		{"NO_HANDLER f=1", "", ":/INVALID NO_HANDLER", "a"},
		{"NO_SUCH", "", ":/UNKNOWN NO_SUCH", ""},
	} {
		m := reply(t, mux, tt.text)
		got := ""
		if m != nil {
			got = m.Server() + ":" + m.Service() + "/" + m.Command() + " " + m.Get("command")
			if says := m.Get("message"); !strings.Contains(says, tt.says) || (says == "") != (tt.says == "") || strings.Contains(says, "hush") {
				t.Errorf("%s: told %q", tt.text, says)
			}
			if m.SentFromServer()+m.SentFromService() != "" {
				t.Errorf("%s: sent %v", tt.text, m)
			}
		}
		if calls := called.take(); got != tt.reply || calls != tt.called {
			t.Errorf("%s: sent %q, called %q; want %q, %q", tt.text, got, calls, tt.reply, tt.called)
		}
		if tt.says != "" {
			refused++
		}
		if got := mux.Refused(); got != refused {
			t.Errorf("%s: %d refused, want %d", tt.text, got, refused)
		}
	}
	if mux.Unhandled() != 3 { // those answered by UNKNOWN
		t.Errorf("%d unhandled, want 3", mux.Unhandled())
	}
	if got := log.String(); strings.Count(got, "refused a message") != 0 {
		t.Errorf("the handler of wrong INVALID or UNKNOWN was called: %s", got)
	}
}

// TestCheckedOnce: what the first observer is given was checked. What becomes of the message later is not, and one refusal
// is enough for all of them.
func TestCheckedOnce(t *testing.T) {
	mux, _ := checked(t, dispatcher.Config{})
	var called calls
	for i, kind := range kinds {
		observe(t, mux, i, "", message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
			called = append(called, kind.name+m.Get("id"))
			m.Set("id", "none") // not how observers should behave, but it shows
			return nil
		}))
	}
	if sent := dispatch(t, mux, "EVENT_DONE id=1"); sent != nil || mux.Refused() != 0 {
		t.Errorf("sent %q, %d refused", sent, mux.Refused())
	}
	if got := called.take(); got != "exact1 patternnone regexpnone functionnone" {
		t.Errorf("called %q", got)
	}
	if sent := dispatch(t, mux, "EVENT_DONE"); len(sent) != 1 || mux.Refused() != 1 || called != nil {
		t.Errorf("sent %q, %d refused, called %q", sent, mux.Refused(), called)
	}
}

// TestCatchAllIsChecked, while what AddDefaults answers for others is not.
func TestCatchAllIsChecked(t *testing.T) {
	mux, _ := checked(t, dispatcher.Config{})
	var called calls
	mux.HandleUnknown(called.handler("rest"))
	for text, want := range map[string]string{"NO_HANDLER a=1": "rest", "NO_HANDLER": "", "FETCH id=x": "", "OTHER": "rest"} {
		m := reply(t, mux, text)
		if got := called.take(); got != want || (m == nil) != (want != "") || m != nil && m.Command() != message.CommandInvalid {
			t.Errorf("%s: called %q, sent %v", text, got, m)
		}
	}
	if mux.Refused() != 2 {
		t.Errorf("%d refused, want 2", mux.Refused())
	}
}

// TestUnhandledIsNotChecked: without any catch-all a message is dropped for want of a handler, whatever is in it.
func TestUnhandledIsNotChecked(t *testing.T) {
	mux, _ := checked(t, dispatcher.Config{})
	if m := reply(t, mux, "NO_HANDLER"); m != nil || mux.Refused() != 0 || mux.Unhandled() != 1 {
		t.Errorf("sent %v, %d refused, %d unhandled", m, mux.Refused(), mux.Unhandled())
	}
}

// TestNobodyToAnswer: without a sender nothing is answered, and all else is as usual.
func TestNobodyToAnswer(t *testing.T) {
	mux, _ := checked(t, dispatcher.Config{})
	var called calls
	note := func(name string) func() { return func() { called = append(called, name) } }
	err := mux.AddDefaults(dispatcher.Service{
		Ready:      func(message.Sender, *message.Message) { note("ready")() },
		Stop:       func(bool) { note("stop")() },
		Restart:    func(message.Sender, *message.Message) { note("restart")() },
		ReopenLogs: func() error { note("reopen")(); return nil },
		Leak:       note("leak"),
		Help:       func() []string { note("help")(); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("FETCH", called.handler("fetch"))
	for _, command := range append(mux.Commands(), "NO_SUCH", "NO_HANDLER") {
		if err := mux.HandleMessage(nil, message.New(command)); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	if got := called.take(); got != "help leak reopen stop ready restart stop" { // QUITTING in front of READY
		t.Errorf("called %q", got)
	}
	if mux.Refused() != 2 || mux.Unhandled() != 2 { // FETCH and SERVICE_UNAVAILABLE lack what they need
		t.Errorf("%d refused, %d unhandled", mux.Refused(), mux.Unhandled())
	}
}

// TestRefusalThatCanNotBeSent: the error of the answer is returned, the message counted as always.
func TestRefusalThatCanNotBeSent(t *testing.T) {
	mux, _ := checked(t, dispatcher.Config{})
	var called calls
	mux.Handle("FETCH", called.handler("fetch"))
	failure := errors.New("failure")
	if err := mux.HandleMessage(&wire{err: failure}, message.New("FETCH")); !errors.Is(err, failure) || mux.Refused() != 1 || called != nil {
		t.Errorf("got %v, %d refused, called %q", err, mux.Refused(), called)
	}
	if err := mux.HandleMessage(&wire{err: failure}, message.New("INVALID").Set("command", "")); err != nil {
		t.Errorf("an answer to INVALID: %v", err)
	}
}

// TestRefusalsAreLoggedOnceASecond: see TestFloodsAreLoggedOnceASecond.
func TestRefusalsAreLoggedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux, log := checked(t, dispatcher.Config{})
		var called calls
		mux.Handle("FETCH", called.handler("fetch"))
		mux.HandleUnknown(called.handler("rest"))
		for range 5 {
			dispatch(t, mux, "<a:b FETCH id=1;secret_code=hush;x=y")
			dispatch(t, mux, "NO_HANDLER")
			dispatch(t, mux, "FETCH id=1")
		}
		want := []string{"level=WARN", "FETCH", "a:b", `\"x\"`, "not known"}
		for _, part := range want {
			if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, part) || strings.Contains(got, "hush") {
				t.Errorf("logged %q, want %q in one line", got, part)
			}
		}
		log.Reset()
		<-time.After(time.Second)
		dispatch(t, mux, "NO_HANDLER")
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "NO_HANDLER") || !strings.Contains(got, "omitted=9") {
			t.Errorf("logged %q, want the one of the next second, and nine left out", got)
		}
		if mux.Refused() != 11 {
			t.Errorf("%d refused, want 11", mux.Refused())
		}
	})
}

// TestWithoutDefinitions: nothing is checked, not even with an empty set.
func TestWithoutDefinitions(t *testing.T) {
	for _, set := range []*definition.Set{nil, {}} {
		mux := dispatcher.New(dispatcher.Config{Logger: slog.New(slog.DiscardHandler), Definitions: set})
		if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
			t.Fatal(err)
		}
		got := append(dispatch(t, mux, "READY my_address=xyz"), dispatch(t, mux, "FETCH")...)
		if diff := cmp.Diff([]string{"UNKNOWN command=FETCH"}, got); diff != "" || mux.Refused() != 0 {
			t.Errorf("%d refused; want (-), got (+):\n%s", mux.Refused(), diff)
		}
	}
}
