package dispatcher_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
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

// secret is what a handler knows and its peers must not.
const secret = "password of the database"

// TestReasonIsAboutTheMessageOnly: what a handler wraps an error in is for the log, not for the peer.
func TestReasonIsAboutTheMessageOnly(t *testing.T) {
	m := message.New("CMD").Set("id", "x").Set("version", "99")
	_, missing := message.GetInt[int](m, "count")
	_, value := message.GetInt[int](m, "id")
	_, unsendable := message.New("CMD").Set("a", "\x00").MarshalText()
	var definitions definition.Set
	if err := definitions.Add(&definition.Definition{Command: "CMD", Parameters: []definition.Parameter{{Name: "count", Required: true}}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{missing, `parameter "count": missing`},
		{value, `parameter "id": not an integer`},
		{m.CheckVersion(), `parameter "version": *`},
		{message.BadValue("id", "not free"), `parameter "id": not free`},
		{definitions.Check(m), `CMD: parameter "count": missing`},
		{unsendable, "the answer can't be written"},
		{message.ErrMissing, "parameter missing"},
	} {
		for i, err := range []error{
			tt.err,
			fmt.Errorf("message: definition: %s: %w", secret, tt.err),
			fmt.Errorf("%w; %s", fmt.Errorf("%s: %w", secret, tt.err), secret),
			errors.Join(errors.New(secret), tt.err, errors.New(secret)),
		} {
			mux, log := quiet()
			mux.HandleFunc("CMD", func(message.Sender, *message.Message) error { return err })
			answer := reply(t, mux, "<a:b CMD")
			if answer == nil || answer.Command() != message.CommandInvalid || answer.Get("command") != "CMD" || answer.Len() != 2 {
				t.Fatalf("%v: answered by %v", err, answer)
			}
			start, cut := strings.CutSuffix(tt.want, "*")
			if got := answer.Get("message"); !strings.HasPrefix(got, start) || !cut && got != tt.want || strings.Contains(answer.String(), secret) {
				t.Errorf("%v: told %q, want %q", err, got, tt.want)
			}
			if got := log.String(); strings.Contains(got, secret) != (i > 0) {
				t.Errorf("%v: logged %q", err, got)
			}
		}
	}
}

// TestOtherErrorsAreNoRefusal: an error of the service itself is nothing that its peer could mend, also when it is of a message.
func TestOtherErrorsAreNoRefusal(t *testing.T) {
	_, syntax := message.Parse("CMD a")
	_, empty := message.Parse("")
	_, limit := message.Parse(strings.Repeat("A", 1000))
	for _, failure := range []error{
		message.New("no command").Err(), syntax, empty, limit, message.ErrName,
		fmt.Errorf("wrapped: %w", message.New("CMD").Set("no name", "").Err()), errors.New("failure"),
	} {
		h := message.HandlerFunc(func(message.Sender, *message.Message) error { return failure })
		for name, add := range map[string]func(*dispatcher.Mux){
			"handler":  func(mux *dispatcher.Mux) { mux.Handle("CMD", h) },
			"observer": func(mux *dispatcher.Mux) { observe(t, mux, 1, "", h); mux.Handle("EVENT*", nothing) },
			"unknown":  func(mux *dispatcher.Mux) { mux.HandleUnknown(h) },
		} {
			mux, log := quiet()
			add(mux)
			command := "CMD"
			if name == "observer" {
				command = "EVENT_DONE"
			}
			var w wire
			if err := mux.HandleMessage(&w, message.New(command)); err != failure { //nolint:errorlint // it is to be the very same
				t.Errorf("%s: got %v, want %v", name, err, failure)
			}
			if w.lines != nil || mux.Refused() != 0 || log.Len() > 0 {
				t.Errorf("%s: %v: sent %q, %d refused, logged %s", name, failure, w.lines, mux.Refused(), log)
			}
		}
	}
}

// TestOwnBadAnswerIsReturned: a handler that builds an answer of a bad name makes the mistake itself.
func TestOwnBadAnswerIsReturned(t *testing.T) {
	mux, _ := quiet()
	mux.HandleFunc("CMD", func(from message.Sender, m *message.Message) error {
		return from.Send(m.Reply("DONE").Set("bad name", "x"))
	})
	var w wire
	if err := mux.HandleMessage(&w, message.New("CMD")); !errors.Is(err, message.ErrName) || w.lines != nil || mux.Refused() != 0 {
		t.Errorf("got %v, sent %q, %d refused", err, w.lines, mux.Refused())
	}
}

// TestFailureBesideARefusal: the failures of those in front of the refusal are returned, the refusal is not.
func TestFailureBesideARefusal(t *testing.T) {
	first, second := errors.New("first failure"), errors.New("second failure")
	fails := func(err error) message.Handler {
		return message.HandlerFunc(func(message.Sender, *message.Message) error { return err })
	}
	for _, failures := range [][]error{nil, {first}, {first, second}} {
		mux, _ := quiet()
		for i, failure := range failures {
			observe(t, mux, i, "", fails(failure))
		}
		mux.Handle("EVENT_*", fails(message.BadValue("id", "not free")))
		var w wire
		err := mux.HandleMessage(&w, message.New("EVENT_DONE"))
		if len(failures) == 1 && err != first { //nolint:errorlint // it is to be the very same
			t.Errorf("got %v, want %v", err, first)
		}
		if fmt.Sprint(err) != fmt.Sprint(errors.Join(failures...)) || errors.Is(err, message.ErrValue) {
			t.Errorf("got %v, want %v and not the refusal", err, failures)
		}
		want := []string{`INVALID command=EVENT_DONE;message=parameter "id": not free`}
		if diff := cmp.Diff(want, w.lines); diff != "" || mux.Refused() != 1 {
			t.Errorf("%d refused; want (-), got (+):\n%s", mux.Refused(), diff)
		}

		unreachable := errors.New("unreachable")
		err = mux.HandleMessage(&wire{err: unreachable}, message.New("EVENT_DONE"))
		for _, want := range append(failures, unreachable) {
			if !errors.Is(err, want) {
				t.Errorf("got %v without %v", err, want)
			}
		}
	}
}

// TestRefusalEndsTheSearch: what an observer refuses gets to nobody behind it, and is answered once.
func TestRefusalEndsTheSearch(t *testing.T) {
	failure := errors.New("failure")
	for kind := range kinds {
		mux, _ := quiet()
		var called calls
		observe(t, mux, 0, "", called.handler("first"))
		observe(t, mux, 1, "", message.HandlerFunc(func(message.Sender, *message.Message) error { return failure }))
		observe(t, mux, kind, "", message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
			called = append(called, "refuses")
			_, err := m.GetBool("missing")
			return err
		}))
		observe(t, mux, (kind+1)%len(kinds), "", called.handler("behind"))
		keeper := kinds[(kind+2)%len(kinds)].match
		keeper.Handler = called.handler("keeper")
		mustAdd(t, mux, keeper)
		mux.HandleUnknown(called.handler("unknown"))
		var w wire
		if err := mux.HandleMessage(&w, message.New("EVENT_DONE")); err != failure { //nolint:errorlint // it is to be the very same
			t.Errorf("%s: got %v, want %v", kinds[kind].name, err, failure)
		}
		if got := called.take(); got != "first refuses" || len(w.lines) != 1 || mux.Refused() != 1 {
			t.Errorf("%s: called %q, sent %q, %d refused", kinds[kind].name, got, w.lines, mux.Refused())
		}
	}
}

// TestRefusedIsCounted, whoever refuses, and whether or not somebody can be told.
func TestRefusedIsCounted(t *testing.T) {
	mux, _ := quiet()
	refuses := message.HandlerFunc(func(_ message.Sender, m *message.Message) error { _, err := m.GetBool("ok"); return err })
	mux.Handle("CMD", refuses)
	mux.Handle("INVALID", refuses)
	mux.Handle("UNKNOWN", refuses)
	observe(t, mux, 1, "", refuses)
	mux.HandleUnknown(refuses)
	var want uint64
	for _, tt := range []struct {
		text    string
		answers int
	}{
		{"CMD", 1}, {"EVENT_UP", 1}, {"NO_SUCH", 1}, {"INVALID", 0}, {"UNKNOWN command=X", 0},
		{"CMD ok=1", -1}, {"EVENT_UP ok=1", -1}, {"NO_SUCH ok=1", -1}, {"INVALID ok=1", -1},
	} {
		if sent := dispatch(t, mux, tt.text); len(sent) != max(0, tt.answers) {
			t.Errorf("%s: sent %q", tt.text, sent)
		}
		if tt.answers >= 0 {
			want++
		}
		if mux.Refused() != want || mux.Unhandled() != 0 {
			t.Errorf("%s: %d refused, want %d; %d unhandled", tt.text, mux.Refused(), want, mux.Unhandled())
		}
	}
	if err := mux.HandleMessage(nil, message.New("CMD")); err != nil || mux.Refused() != want+1 {
		t.Errorf("nobody to tell: %v, %d refused, want %d", err, mux.Refused(), want+1)
	}
}

// TestInvalidFitsIntoADatagram as a whole, whatever the names of the sender and of the command, and the escapes in the reason
// make of it. What is short enough is not cut.
func TestInvalidFitsIntoADatagram(t *testing.T) {
	const most = 1000
	long := strings.Repeat("N", message.DefaultMaxName)
	for _, from := range []string{"", "<a:b ", "<" + long + ":" + long + " "} {
		for _, command := range []string{"CMD", long} {
			for _, letters := range []string{"x", `\`, `"`, ";", `\";`, `"; `, "\n", "é", "\u2028\\"} {
				for _, size := range []int{0, 1, 10, 50, 190, 200, 210, 220, 400, 480, 490, 500, 600, 900, 930, 950, 972, 973, 1000, 5000} {
					reason := strings.Repeat(letters, size)
					mux, _ := quiet()
					mux.HandleUnknown(message.HandlerFunc(func(message.Sender, *message.Message) error {
						return &message.Error{Offset: -1, Reason: reason, Err: message.ErrValue}
					}))
					sent := dispatch(t, mux, from+command)
					if len(sent) != 1 {
						t.Fatalf("%.20s%.20s, %d of %q: sent %.200q", from, command, size, letters, sent)
					}
					m, err := message.Parse(sent[0])
					if err != nil {
						t.Fatal(err)
					}
					if got := longest(t, m); got > most {
						t.Fatalf("%.20s%.20s, %d of %q: sent %d bytes", from, command, size, letters, got)
					}
					request, err := message.Parse(from + command)
					if err != nil {
						t.Fatal(err)
					}
					whole := request.ReplyInvalid(reason)
					told, cut := strings.CutSuffix(m.Get("message"), "...")
					if fits := longest(t, whole) <= most; cut == fits || !strings.HasPrefix(reason, told) || fits && !m.Equal(whole) {
						t.Errorf("%.20s%.20s, %d of %q: told %q", from, command, size, letters, m.Get("message"))
					}
				}
			}
		}
	}
}

// longest returns the length of the longer one of the forms.
func longest(t *testing.T, m *message.Message) int {
	t.Helper()
	text, err := m.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	object, err := m.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return max(len(text), len(object))
}

// TestWhoRefuses: of a handler's error the part that is a refusal is told, the definition's own kinds included.
func TestWhoRefuses(t *testing.T) {
	closed := definition.Definition{Command: "X", Closed: true}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{closed.Check(message.New("X").Set("a", "")), `X: parameter "a": not known`},
		{errors.Join(message.New("bad cmd").Err(), message.BadValue("a", "odd")), `parameter "a": odd`},
		{fmt.Errorf("at 10.0.0.3: %w", errors.Join(errors.New("hush"), message.BadValue("a", "odd"))), `parameter "a": odd`},
	} {
		mux, _ := quiet()
		mux.HandleFunc("X", func(message.Sender, *message.Message) error { return tt.err })
		sent := dispatch(t, mux, "X")
		if want := message.New("X").ReplyInvalid(tt.want).String(); len(sent) != 1 || sent[0] != want {
			t.Errorf("%v: told %q, want %q", tt.err, sent, want)
		}
	}
}

// TestRemovedByItsOwnFunction: a match is not called after its removal, not even one that wanted the message meanwhile.
func TestRemovedByItsOwnFunction(t *testing.T) {
	mux, _ := quiet()
	var called calls
	mustAdd(t, mux, dispatcher.Match{
		Func:    func(*message.Message) bool { return mux.Remove("once") > 0 },
		Handler: called.handler("removed"), Tag: "once",
	})
	mux.HandleUnknown(called.handler("rest"))
	dispatch(t, mux, "X")
	if got := called.take(); got != "rest" {
		t.Errorf("called: %q", got)
	}
}

// TestReasonsThatCanNotBeWritten: who asked is answered all the same.
func TestReasonsThatCanNotBeWritten(t *testing.T) {
	for _, reason := range []string{"no such folder; C:\\", "no such \x00", strings.Repeat(";\\", 100_000)} {
		mux, _ := quiet()
		mux.HandleFunc("X", func(message.Sender, *message.Message) error { return message.BadValue("p", reason) })
		if sent := dispatch(t, mux, "X"); len(sent) != 1 || !strings.HasPrefix(sent[0], "INVALID command=X;message=") {
			t.Errorf("%.20q: sent %.100q", reason, sent)
		}
	}
}
