package dispatcher_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// observe adds an observer of a kind.
func observe(tb testing.TB, mux *dispatcher.Mux, kind int, tag string, h message.Handler) {
	tb.Helper()
	match := kinds[kind].match
	match.Observer, match.Tag, match.Handler = true, tag, h
	mustAdd(tb, mux, match)
}

// TestChangedWithin: a handler adds and removes in front of itself and behind. Its message goes to none of them any more; the
// next one sees the whole change, also when the handler itself dispatches it.
func TestChangedWithin(t *testing.T) {
	for kind := range kinds {
		t.Run(kinds[kind].name, func(t *testing.T) {
			mux, _ := quiet()
			var called calls
			observe(t, mux, kind, "old", called.handler("before"))
			inside := false
			observe(t, mux, kind, "old", message.HandlerFunc(func(from message.Sender, m *message.Message) error {
				called = append(called, "changer")
				if inside {
					return nil
				}
				inside = true
				mux.Remove("old")
				observe(t, mux, kind, "new", called.handler("new"))
				first := kinds[kind].match
				first.Priority, first.Handler = dispatcher.PriorityCallback, called.handler("first")
				first.Observer, first.Tag = true, "new"
				mustAdd(t, mux, first)
				mux.HandleUnknown(called.handler("rest"))
				called = append(called, "[")
				err := errors.Join(mux.HandleMessage(from, m), mux.HandleMessage(from, message.New("OTHER")))
				called = append(called, "]")
				return err
			}))
			observe(t, mux, kind, "old", called.handler("after"))
			dispatch(t, mux, "EVENT_DONE")
			if got := called.take(); got != "before changer [ first new rest ]" {
				t.Errorf("called %q", got)
			}
			dispatch(t, mux, "EVENT_DONE")
			if got := called.take(); got != "first new" {
				t.Errorf("the next one: called %q", got)
			}
		})
	}
}

// TestRemovedWhileNobodyElseWants: the observer that handles a message removes all there is. It stays handled.
func TestRemovedWhileNobodyElseWants(t *testing.T) {
	mux, log := quiet()
	mustAdd(t, mux, dispatcher.Match{Command: "A*", Observer: true, Tag: "t", Handler: message.HandlerFunc(
		func(message.Sender, *message.Message) error { mux.Remove("t"); return nil })})
	dispatch(t, mux, "A")
	if mux.Unhandled() != 0 || log.Len() > 0 {
		t.Errorf("%d unhandled, logged %s", mux.Unhandled(), log)
	}
	dispatch(t, mux, "A")
	if mux.Unhandled() != 1 {
		t.Errorf("%d unhandled, want 1", mux.Unhandled())
	}
}

// TestChangedMeanwhile is TestChangedWithin from another goroutine, while the message is at its first handler: what was there
// and stays is called, what is removed or added is not.
func TestChangedMeanwhile(t *testing.T) {
	for kind := range kinds {
		mux, _ := quiet()
		var called calls
		arrived, changed := make(chan bool), make(chan bool)
		observe(t, mux, kind, "old", message.HandlerFunc(func(message.Sender, *message.Message) error {
			arrived <- true
			<-changed
			return nil
		}))
		observe(t, mux, kind, "old", called.handler("removed meanwhile"))
		observe(t, mux, kind, "", called.handler("there all the time"))
		var group sync.WaitGroup
		group.Go(func() {
			if err := mux.HandleMessage(nil, message.New("EVENT_DONE")); err != nil {
				t.Error(err)
			}
		})
		<-arrived
		if n := mux.Remove("old"); n != 2 {
			t.Errorf("removed %d", n)
		}
		observe(t, mux, kind, "", called.handler("added meanwhile"))
		changed <- true
		group.Wait()
		if got := called.take(); got != "there all the time" {
			t.Errorf("%s: called %q", kinds[kind].name, got)
		}
	}
}

// TestChangedByManyWhileDispatching: two observers come one after the other, so no message may go to the second first, nor to
// either twice. What is always there gets each message.
func TestChangedByManyWhileDispatching(t *testing.T) {
	mux, _ := quiet()
	const changers, readers, rounds = 3, 3, 150
	note := func(name string) message.Handler {
		return message.HandlerFunc(func(from message.Sender, _ *message.Message) error {
			w := from.(*wire) // each reader has its own
			w.lines = append(w.lines, name)
			return nil
		})
	}
	keeper := kinds[1].match
	keeper.Priority, keeper.Handler = 1, note("keeper")
	mustAdd(t, mux, keeper)
	mux.HandleUnknown(note("rest"))
	var group sync.WaitGroup
	for i := range changers {
		group.Go(func() {
			tag := fmt.Sprint(i)
			for round := range rounds {
				observe(t, mux, round%len(kinds), tag, note("first"+tag))
				observe(t, mux, (round+i)%len(kinds), tag, note("second"+tag))
				if n := mux.Remove(tag); n != 2 {
					t.Errorf("removed %d", n)
				}
			}
		})
	}
	for range readers {
		group.Go(func() {
			var w wire
			for range 2 * rounds {
				w.lines = w.lines[:0]
				if err := mux.HandleMessage(&w, message.New("EVENT_DONE")); err != nil {
					t.Error(err)
				}
				names := strings.Join(w.lines, " ")
				if !strings.HasSuffix(names, "keeper") || strings.Count(names, "keeper") != 1 {
					t.Errorf("called %s", names)
				}
				for i := range changers {
					first, second := strings.Index(names, fmt.Sprint("first", i)), strings.Index(names, fmt.Sprint("second", i))
					if first >= 0 && second >= 0 && first > second {
						t.Errorf("called %s", names)
					}
					for _, name := range []string{"first", "second"} {
						if strings.Count(names, fmt.Sprint(name, i)) > 1 {
							t.Errorf("called %s", names)
						}
					}
				}
				_ = mux.Commands()
			}
		})
	}
	group.Wait()
	if n := len(mux.Commands()); n != 0 || mux.Unhandled() != 0 || mux.Refused() != 0 {
		t.Errorf("%d commands left, %d unhandled, %d refused", n, mux.Unhandled(), mux.Refused())
	}
}

// TestHandlePatternTwicePanics is TestHandleTwicePanics for patterns. Patterns that look different are different.
func TestHandlePatternTwicePanics(t *testing.T) {
	panics := func(f func()) (err error) {
		defer func() { err, _ = recover().(error) }()
		f()
		return nil
	}
	mux, _ := quiet()
	var called calls
	mux.Handle("EVENT*", called.handler("first"))
	mustAdd(t, mux, dispatcher.Match{Regexp: "NEWS.*", Handler: called.handler("regexp")})
	mustAdd(t, mux, dispatcher.Match{Func: func(*message.Message) bool { return false }, Handler: called.handler("function")})
	for name, again := range map[string]func(){
		"Handle":     func() { mux.Handle("EVENT*", called.handler("again")) },
		"HandleFunc": func() { mux.HandleFunc("EVENT*", called.handler("again").HandleMessage) },
	} {
		if err := panics(again); !errors.Is(err, dispatcher.ErrAlreadySet) || !strings.Contains(err.Error(), "EVENT*") {
			t.Errorf("%s: panic with %v, want ErrAlreadySet and the pattern", name, err)
		}
	}
	for pattern, want := range map[string]error{"event*": message.ErrName, "": dispatcher.ErrMatch, "A.*": message.ErrName} {
		if err := panics(func() { mux.Handle(pattern, called.handler("bad")) }); !errors.Is(err, want) {
			t.Errorf("%q: panic with %v, want %v", pattern, err, want)
		}
	}
	for _, other := range []string{"EVENT**", "EVENT?", "EVEN", "EVENT*_A", "NEWS", "NEWS*", "*"} {
		if err := panics(func() { mux.Handle(other, called.handler(other)) }); err != nil {
			t.Errorf("%q: panic with %v", other, err)
		}
	}
	mustAdd(t, mux, dispatcher.Match{Command: "EVENT*", Handler: called.handler("added")})
	dispatch(t, mux, "EVENT_DONE")
	if got := called.take(); got != "first" {
		t.Errorf("called: %q", got)
	}
}
