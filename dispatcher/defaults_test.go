package dispatcher_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestDefaultAnswers(t *testing.T) {
	mux := dispatcher.New(dispatcher.Config{
		Logger: slog.New(slog.DiscardHandler),
		Now:    func() time.Time { return time.Unix(1795218395, 13207184) },
	})
	if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"ALIVE":                      "ABSOLUTELY reply_timestamp=1795218395.013207184",
		"<x:y ALIVE serial=1":        "x:y/ABSOLUTELY reply_timestamp=1795218395.013207184;serial=1",
		"ALIVE timestamp=1;serial=":  "ABSOLUTELY reply_timestamp=1795218395.013207184;serial=;timestamp=1",
		`ALIVE serial="a;b";other=1`: `ABSOLUTELY reply_timestamp=1795218395.013207184;serial="a;b"`,
		"<a:b c:d/HELP":              "a:b/COMMANDS list=ALIVE,HELP,INVALID,LEAK,LOG_ROTATE,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN",
		"NO_SUCH":                    "UNKNOWN command=NO_SUCH",
		"<a:b NO_SUCH a=b":           "a:b/UNKNOWN command=NO_SUCH",
		"ABSOLUTELY":                 "UNKNOWN command=ABSOLUTELY",
		"COMMANDS list=A":            "UNKNOWN command=COMMANDS",
		"INVALID command=A":          "",
		"UNKNOWN command=A":          "",
		"LEAK":                       "",
		"LOG_ROTATE":                 "",
		"QUITTING":                   "",
		"READY":                      "",
		"RESTART":                    "",
		"SERVICE_UNAVAILABLE":        "",
		"STOP":                       "",
	} {
		if got := strings.Join(dispatch(t, mux, text), "\n"); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestHelpListsWhatTheRecordedProgramListed(t *testing.T) {
	mux, _ := quiet()
	var called calls
	for _, command := range []string{"PONG", "NEWS", "COMMANDS", "ABSOLUTELY"} {
		mux.Handle(command, called.handler(command))
	}
	if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
		t.Fatal(err)
	}
	want := "COMMANDS list=ABSOLUTELY,ALIVE,COMMANDS,HELP,INVALID,LEAK,LOG_ROTATE,NEWS,PONG,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN"
	if diff := cmp.Diff([]string{want}, dispatch(t, mux, "HELP")); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// TestStatus: a service that has nothing to say of its status doesn't know the command.
func TestStatus(t *testing.T) {
	for want, service := range map[string]dispatcher.Service{
		"UNKNOWN command=STATUS":                        {},
		`a:b/STATUS_REPORT text="two\nlines; and more"`: {Status: func() string { return "two\nlines; and more" }},
	} {
		mux, _ := quiet()
		if err := mux.AddDefaults(service); err != nil {
			t.Fatal(err)
		}
		text := "<a:b STATUS"
		if service.Status == nil {
			text = "STATUS"
		}
		if got := strings.Join(dispatch(t, mux, text), "\n"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// short is a sender that takes short messages only, as one over datagrams does.
type short struct{ sent []string }

func (s *short) Send(m *message.Message) error {
	text := m.String()
	if len(text) > 100 {
		return errors.New("too long")
	}
	s.sent = append(s.sent, text)
	return nil
}

// TestLongStatus: what is too long to be sent is answered with its first paragraph, if it has more.
func TestLongStatus(t *testing.T) {
	long := strings.Repeat("and so on ", 100)
	for text, want := range map[string]string{"all is well\n\n" + long: "STATUS_REPORT text=all is well", long: ""} {
		mux, _ := quiet()
		if err := mux.AddDefaults(dispatcher.Service{Status: func() string { return text }}); err != nil {
			t.Fatal(err)
		}
		s := &short{}
		err := mux.HandleMessage(s, message.New("STATUS"))
		if got := strings.Join(s.sent, "\n"); got != want || (err == nil) != (want != "") {
			t.Errorf("sent %q, %v, want %q", got, err, want)
		}
	}
}

func TestServiceHooks(t *testing.T) { synctest.Test(t, testServiceHooks) }

func testServiceHooks(t *testing.T) {
	mux, log := quiet()
	var called calls
	note := func(s string) { called = append(called, s) }
	err := mux.AddDefaults(dispatcher.Service{
		Name:  "demo",
		Ready: func(_ message.Sender, m *message.Message) { note("ready " + m.Get("my_address")) },
		Stop: func(quitting bool) {
			if quitting {
				note("quitting")
			} else {
				note("stop")
			}
		},
		Restart:    func(_ message.Sender, m *message.Message) { note("restart " + m.Get("reason")) },
		ReopenLogs: func() error { note("reopen"); return errors.New("disk full") },
		Leak:       func() { note("leak") },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ text, call, log string }{
		{"READY my_address=127.0.0.1:4040", "ready 127.0.0.1:4040", ""},
		{"READY my_address=xyz", "ready xyz", ""},
		{"READY", "ready ", ""},
		{"STOP", "stop", "STOP"},
		{"QUITTING", "quitting", "QUITTING"},
		{"RESTART reason=upgrade", "restart upgrade", "reason=upgrade"},
		{"LOG_ROTATE", "reopen", "disk full"},
		{"LEAK", "leak", ""},
		{"SERVICE_UNAVAILABLE", "", ""},
		{"UNKNOWN command=A", "", "command=A"},
	} {
		log.Reset()
		<-time.After(time.Second) // each of them is logged, not once a second
		if sent := dispatch(t, mux, tt.text); sent != nil {
			t.Errorf("%s: sent %q", tt.text, sent)
		}
		if got := called.take(); got != tt.call {
			t.Errorf("%s: called %q, want %q", tt.text, got, tt.call)
		}
		if got := log.String(); !strings.Contains(got, tt.log) || (got == "") != (tt.log == "") {
			t.Errorf("%s: logged %q, want %q", tt.text, got, tt.log)
		}
		if got := log.String(); got != "" && !strings.Contains(got, "service=demo") {
			t.Errorf("%s: logged %q without the name of the service", tt.text, got)
		}
	}
}

func TestOwnHandlersComeFirst(t *testing.T) {
	for _, defaultsFirst := range []bool{true, false} {
		mux, _ := quiet()
		var called calls
		if !defaultsFirst {
			mux.Handle("STOP", called.handler("own"))
		}
		err := mux.AddDefaults(dispatcher.Service{Stop: func(bool) { called = append(called, "hook") }})
		if err != nil {
			t.Fatal(err)
		}
		if defaultsFirst {
			mux.Handle("STOP", called.handler("own"))
		}
		dispatch(t, mux, "STOP")
		if got := called.take(); got != "own" {
			t.Errorf("called: %q", got)
		}
	}
}

func TestAddDefaultsRefuses(t *testing.T) {
	mux, _ := quiet()
	if err := mux.AddDefaults(dispatcher.Service{Name: "a-b"}); !errors.Is(err, message.ErrName) {
		t.Errorf("got %v, want ErrName", err)
	}
	if got := mux.Commands(); len(got) != 0 {
		t.Errorf("added all the same: %v", got)
	}
	if err := mux.AddDefaults(dispatcher.Service{Name: "a_b"}); err != nil {
		t.Error(err)
	}
	if err := mux.AddDefaults(dispatcher.Service{}); !errors.Is(err, dispatcher.ErrAlreadySet) {
		t.Errorf("got %v, want ErrAlreadySet", err)
	}
}

func TestSendErrorsAreReturned(t *testing.T) {
	mux, _ := quiet()
	if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("failure")
	for _, command := range []string{"ALIVE", "HELP", "NO_SUCH"} {
		if err := mux.HandleMessage(&wire{err: failure}, message.New(command)); !errors.Is(err, failure) {
			t.Errorf("%s: got %v", command, err)
		}
	}
}

// TestTwoServicesDoNotAnswerForEver connects two services that do not know each other's commands.
func TestTwoServicesDoNotAnswerForEver(t *testing.T) {
	mux, _ := quiet()
	if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"ALIVE", "HELP", "NO_SUCH", "INVALID", "UNKNOWN"} {
		queue := []string{text}
		for steps := 0; len(queue) > 0; steps++ {
			if steps > 4 {
				t.Fatalf("%s: still answering: %q", text, queue)
			}
			queue = append(queue[1:], dispatch(t, mux, queue[0])...)
		}
	}
}
