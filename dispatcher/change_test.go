package dispatcher_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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
			if got := called.take(); got != "before changer [ first new rest ] new" {
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
		if got := called.take(); got != "there all the time added meanwhile" {
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
	for _, other := range []string{"EVENT**", "EVENT?", "EVENT*_A"} {
		if err := panics(func() { mux.Handle(other, called.handler(other)) }); !errors.Is(err, dispatcher.ErrAlreadySet) {
			t.Errorf("%q: panic with %v, want ErrAlreadySet", other, err)
		}
	}
	for _, other := range []string{"A?", "A*", "EVEN", "*EVENT", "NEWS", "NEWS*", "*"} {
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

// TestReplace: who adds the new handler before removing the old one loses no message, not even one that is looking for its
// handler meanwhile.
func TestReplace(t *testing.T) {
	for kind := range kinds {
		mux, _ := quiet()
		var called calls
		old := kinds[kind].match
		old.Handler, old.Tag = called.handler("old"), "old"
		mustAdd(t, mux, old)
		mustAdd(t, mux, dispatcher.Match{Priority: -1, Handler: called.handler("never"), Func: func(*message.Message) bool {
			if !strings.Contains(strings.Join(mux.Commands(), " "), "ONCE") {
				mux.Handle("ONCE", called.handler("once"))
				replacement := kinds[kind].match
				replacement.Handler = called.handler("new")
				mustAdd(t, mux, replacement)
				mux.Remove("old")
			}
			return false
		}})
		dispatch(t, mux, "EVENT_DONE")
		if got := called.take(); got != "new" {
			t.Errorf("%s: called %q", kinds[kind].name, got)
		}
	}
}

// TestHandleBehindAPatternPanics: an earlier pattern of the same priority takes the command, so the handler would never be
// called. One that only observes, or comes later, takes nothing.
func TestHandleBehindAPatternPanics(t *testing.T) {
	var called calls
	h := called.handler("h")
	for _, tt := range []struct {
		name  string
		match dispatcher.Match
		taken bool
	}{
		{"pattern", dispatcher.Match{Command: "EVENT*"}, true},
		{"question mark", dispatcher.Match{Command: "EVENT?DONE"}, true},
		{"all", dispatcher.Match{Command: "*"}, true},
		{"tagged", dispatcher.Match{Command: "*_DONE", Tag: "t"}, true},
		{"observer", dispatcher.Match{Command: "EVENT*", Observer: true}, false},
		{"earlier priority", dispatcher.Match{Command: "EVENT*", Priority: -1}, true},
		{"later priority", dispatcher.Match{Command: "EVENT*", Priority: 1}, false},
		{"another pattern", dispatcher.Match{Command: "EVENT"}, false},
		{"regexp", dispatcher.Match{Regexp: "EVENT.*"}, false},
		{"function", dispatcher.Match{Func: func(*message.Message) bool { return true }}, false},
	} {
		mux, _ := quiet()
		match := tt.match
		match.Handler = h
		mustAdd(t, mux, match)
		err := func() (err error) {
			defer func() { err, _ = recover().(error) }()
			mux.Handle("EVENT_DONE", h)
			return nil
		}()
		if errors.Is(err, dispatcher.ErrAlreadySet) != tt.taken || tt.taken && !strings.HasSuffix(err.Error(), "already set by "+match.Command) {
			t.Errorf("%s: panic with %v", tt.name, err)
		}
		if tt.match.Tag != "" {
			mux.Remove(tt.match.Tag)
			mux.Handle("EVENT_DONE", h)
		}
	}

	mux, _ := quiet()
	mux.Handle("EVENT_DONE", called.handler("command"))
	mux.Handle("EVENT*", called.handler("pattern"))
	dispatch(t, mux, "EVENT_DONE")
	dispatch(t, mux, "EVENT_UP")
	if got := called.take(); got != "command pattern" {
		t.Errorf("called %q", got)
	}
}

// gated is a sender that knows how many rounds were over when its message came to the first handler.
type gated struct {
	wire
	over int64
}

// TestRemovalIsAtOnce: once Remove has returned, no message gets to the removed, also none that was on its way before.
func TestRemovalIsAtOnce(t *testing.T) {
	const readers, rounds, victims = 3, 100, 8
	mux, _ := quiet()
	var over atomic.Int64
	mustAdd(t, mux, dispatcher.Match{
		Command: "*", Observer: true, Priority: dispatcher.PriorityCallback,
		Handler: message.HandlerFunc(func(from message.Sender, _ *message.Message) error {
			runtime.Gosched() // Remove may well run now
			from.(*gated).over = over.Load()
			return nil
		}),
	})
	var group sync.WaitGroup
	ended := make(chan bool)
	for range readers {
		group.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				if err := mux.HandleMessage(&gated{}, message.New("EVENT_DONE")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for round := range int64(rounds) {
		arrived := make(chan bool, 1)
		for victim := range victims {
			observe(t, mux, victim%len(kinds), "victim", message.HandlerFunc(func(from message.Sender, _ *message.Message) error {
				if from.(*gated).over > round {
					t.Errorf("called after its removal in round %d", round)
				}
				select {
				case arrived <- true:
				default:
				}
				return nil
			}))
		}
		<-arrived
		if n := mux.Remove("victim"); n != victims {
			t.Errorf("removed %d, want %d", n, victims)
		}
		over.Store(round + 1)
	}
	close(ended)
	group.Wait()
}

// TestManyCommands: to add one costs what it costs, not what there is already.
func TestManyCommands(t *testing.T) {
	const commands, most = 10_000, 64 << 20
	names := make([]string, commands)
	for i := range names {
		names[i] = fmt.Sprint("COMMAND_", i)
	}
	mux, _ := quiet()
	dispatch(t, mux, "COMMAND_0")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, name := range names {
		mux.Handle(name, nothing)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > most {
		t.Errorf("%d commands: allocated %d bytes, want %d at most", commands, allocated, most)
	}
	for _, name := range names {
		if err := mux.HandleMessage(nil, message.New(name)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(mux.Commands()); n != commands || mux.Unhandled() != 1 {
		t.Errorf("%d commands, %d unhandled, want the one in front", n, mux.Unhandled())
	}
}

// TestKeptMessagesBelongToTheHandler: nobody looks at a message any more once the handler that keeps it has returned. The race
// detector would tell.
func TestKeptMessagesBelongToTheHandler(t *testing.T) {
	var group sync.WaitGroup
	keep := message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		group.Go(func() { m.Set("id", "changed").Set("new", "parameter").SetServer("elsewhere") })
		return nil
	})
	for kind := range len(kinds) + 1 {
		var coverage message.Coverage
		mux, log := checked(t, dispatcher.Config{Trace: true, Coverage: &coverage})
		observe(t, mux, 1, "", nothing)
		command := "EVENT_DONE"
		if kind < len(kinds) {
			match := kinds[kind].match
			match.Handler = keep
			mustAdd(t, mux, match)
		} else {
			command = "OTHER"
			mux.HandleUnknown(keep)
		}
		for _, behind := range kinds {
			behind.match.Handler, behind.match.Observer = nothing, true
			mustAdd(t, mux, behind.match)
		}
		mustAdd(t, mux, dispatcher.Match{
			Func: func(m *message.Message) bool { return m.Get("id") == "none" }, Handler: nothing, Priority: dispatcher.PriorityLast,
		})
		for range 20 {
			if err := mux.HandleMessage(&wire{}, message.New(command).Set("id", "1")); err != nil {
				t.Error(err)
			}
		}
		group.Wait()
		if n := strings.Count(log.String(), "\n"); n != 20 || coverage.Received()[command] != 20 || mux.Refused()+mux.Unhandled() != 0 {
			t.Errorf("logged %d lines, counted %v, %d refused, %d unhandled", n, coverage.Received(), mux.Refused(), mux.Unhandled())
		}
	}
}
