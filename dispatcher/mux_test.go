package dispatcher_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// wire collects the text of what is sent to it.
type wire struct {
	lines []string
	err   error // what Send returns after writing
}

func (w *wire) Send(m *message.Message) error {
	text, err := m.MarshalText()
	if err != nil {
		return err
	}
	w.lines = append(w.lines, string(text))
	return w.err
}

// calls records the names of the handlers that ran.
type calls []string

func (c *calls) handler(name string) message.Handler {
	return message.HandlerFunc(func(message.Sender, *message.Message) error {
		*c = append(*c, name)
		return nil
	})
}

func (c *calls) take() string {
	names := strings.Join(*c, " ")
	*c = nil
	return names
}

func mustAdd(tb testing.TB, mux *dispatcher.Mux, match dispatcher.Match) {
	tb.Helper()
	if err := mux.Add(match); err != nil {
		tb.Fatal(err)
	}
}

func dispatch(tb testing.TB, mux *dispatcher.Mux, text string) []string {
	tb.Helper()
	m, err := message.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	var w wire
	if err := mux.HandleMessage(&w, m); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return w.lines
}

// quiet returns a Mux and what it logs.
func quiet() (*dispatcher.Mux, *bytes.Buffer) {
	var log bytes.Buffer
	return dispatcher.New(dispatcher.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}), &log
}

func TestSmallestPriorityThenFirstAddedWins(t *testing.T) {
	mux, _ := quiet()
	var called calls
	for _, add := range []struct {
		name     string
		priority dispatcher.Priority
		want     string
	}{
		{"system", dispatcher.PrioritySystem, "system"},
		{"late", dispatcher.PriorityLast, "system"},
		{"default1", 0, "default1"},
		{"default2", dispatcher.PriorityDefault, "default1"},
		{"callback1", dispatcher.PriorityCallback, "callback1"},
		{"callback2", dispatcher.PriorityCallback, "callback1"},
	} {
		mustAdd(t, mux, dispatcher.Match{
			Command: "CMD", Priority: add.priority, Handler: called.handler(add.name), Tag: add.name,
		})
		dispatch(t, mux, "CMD")
		if got := called.take(); got != add.want {
			t.Errorf("after %s: %q was called, want %q", add.name, got, add.want)
		}
	}

	for _, remove := range []struct{ name, want string }{
		{"callback1", "callback2"},
		{"default1", "callback2"},
		{"callback2", "default2"},
		{"default2", "system"},
		{"system", "late"},
		{"late", ""},
	} {
		if n := mux.Remove(remove.name); n != 1 {
			t.Errorf("%s: removed %d, want 1", remove.name, n)
		}
		dispatch(t, mux, "CMD")
		if got := called.take(); got != remove.want {
			t.Errorf("without %s: %q was called, want %q", remove.name, got, remove.want)
		}
	}
	if got := mux.Commands(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestRemoveByTag(t *testing.T) {
	mux, _ := quiet()
	var called calls
	mux.Handle("A", called.handler("kept"))
	for _, command := range []string{"A", "B", "C", "B"} {
		mustAdd(t, mux, dispatcher.Match{Command: command, Handler: called.handler("tagged"), Tag: "t"})
	}
	for tag, want := range map[string]int{"": 0, "other": 0} {
		if n := mux.Remove(tag); n != want {
			t.Errorf("tag %q: removed %d, want %d", tag, n, want)
		}
	}
	if n := mux.Remove("t"); n != 4 {
		t.Errorf("removed %d, want 4", n)
	}
	if diff := cmp.Diff([]string{"A"}, mux.Commands()); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestHandlerErrorIsReturned(t *testing.T) {
	mux, log := quiet()
	failure := errors.New("failure")
	mux.HandleFunc("CMD", func(message.Sender, *message.Message) error { return failure })
	if err := mux.HandleMessage(nil, message.New("CMD")); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if log.Len() > 0 {
		t.Errorf("returned and logged: %s", log)
	}
}

func TestDefaultHandlerGetsTheRest(t *testing.T) {
	mux, _ := quiet()
	var called calls
	mux.Handle("A", called.handler("a"))
	mux.HandleUnknown(called.handler("rest"))
	for _, tt := range []struct {
		h    message.Handler
		want error
	}{
		{called.handler("second"), dispatcher.ErrAlreadySet},
		{nil, dispatcher.ErrNoHandler},
		{message.HandlerFunc(nil), dispatcher.ErrNoHandler},
	} {
		func() {
			defer func() {
				if err, _ := recover().(error); !errors.Is(err, tt.want) {
					t.Errorf("panic with %v, want %v", err, tt.want)
				}
			}()
			mux.HandleUnknown(tt.h)
		}()
	}
	if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"B", "A", "STOP", "C"} {
		if sent := dispatch(t, mux, text); sent != nil {
			t.Errorf("%s: sent %q", text, sent)
		}
	}
	if got := called.take(); got != "rest a rest" {
		t.Errorf("called: %q", got)
	}
}

func TestUnhandledIsLoggedCountedAndNoError(t *testing.T) {
	mux, log := quiet()
	for range 3 {
		dispatch(t, mux, "<s:t NEWS id=7;secret_code=hush")
	}
	if n := mux.Unhandled(); n != 3 {
		t.Errorf("counted %d, want 3", n)
	}
	if got := log.String(); strings.Count(got, "NEWS") != 1 || !strings.Contains(got, "WARN") || strings.Contains(got, "hush") {
		t.Errorf("logged: %s", got)
	}
}

func TestHandlePanicsOnMistakes(t *testing.T) {
	mux, _ := quiet()
	var called calls
	for name, mistake := range map[string]func(){
		"bad command": func() { mux.Handle("ping", called.handler("h")) },
		"nil handler": func() { mux.Handle("PING", nil) },
		"nil func":    func() { mux.HandleFunc("PING", nil) },
	} {
		func() {
			defer func() {
				if err, _ := recover().(error); err == nil {
					t.Errorf("%s: no panic with an error", name)
				}
			}()
			mistake()
		}()
	}
}

func TestHandlersMayChangeTheMux(t *testing.T) {
	mux, _ := quiet()
	var called calls
	mustAdd(t, mux, dispatcher.Match{
		Command: "CMD",
		Tag:     "once",
		Handler: message.HandlerFunc(func(from message.Sender, m *message.Message) error {
			called = append(called, "once")
			mux.Remove("once")
			mux.Handle("CMD", called.handler("next"))
			return mux.HandleMessage(from, m)
		}),
	})
	dispatch(t, mux, "CMD")
	dispatch(t, mux, "CMD")
	if got := called.take(); got != "once next next" {
		t.Errorf("called: %q", got)
	}
}

func TestMuxFromSeveralGoroutines(t *testing.T) {
	mux, _ := quiet()
	nothing := message.HandlerFunc(func(message.Sender, *message.Message) error { return nil })
	mux.Handle("FIXED", nothing)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			tag := fmt.Sprint("tag", i)
			for range 200 {
				if err := mux.Add(dispatcher.Match{Command: "MOVING", Handler: nothing, Tag: tag}); err != nil {
					t.Error(err)
				}
				if n := mux.Remove(tag); n != 1 {
					t.Errorf("removed %d", n)
				}
			}
		})
		group.Go(func() {
			m := message.New("FIXED")
			for range 1000 {
				if err := mux.HandleMessage(nil, m); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := mux.Commands(); !slices.Equal(got, []string{"FIXED"}) || mux.Unhandled() != 0 {
		t.Errorf("left: %v, unhandled: %d", got, mux.Unhandled())
	}
}
