package dispatcher_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// kinds has a match of EVENT_DONE of each kind.
var kinds = []struct {
	name  string
	match dispatcher.Match
}{
	{"exact", dispatcher.Match{Command: "EVENT_DONE"}},
	{"pattern", dispatcher.Match{Command: "EVENT*"}},
	{"regexp", dispatcher.Match{Regexp: "EVENT_(DONE|OVER)"}},
	{"function", dispatcher.Match{Func: func(m *message.Message) bool { return m.Command() == "EVENT_DONE" }}},
}

// orders yields all orders of 0 to n-1.
func orders(n int) (all [][]int) {
	if n == 0 {
		return [][]int{nil}
	}
	for _, o := range orders(n - 1) {
		for at := range n {
			all = append(all, append(append(append([]int(nil), o[:at]...), n-1), o[at:]...))
		}
	}
	return all
}

// TestEqualPriorities: of several matches of the same priority the first that was added is the first, whatever their kinds.
func TestEqualPriorities(t *testing.T) {
	for _, order := range orders(len(kinds)) {
		for _, observers := range []bool{true, false} {
			mux, _ := quiet()
			var called calls
			var want []string
			for _, i := range order {
				match := kinds[i].match
				match.Handler, match.Observer = called.handler(kinds[i].name), observers
				mustAdd(t, mux, match)
				if observers || want == nil {
					want = append(want, kinds[i].name)
				}
			}
			dispatch(t, mux, "EVENT_DONE")
			if got := called.take(); got != strings.Join(want, " ") {
				t.Errorf("observers: %v: called %q, want %q", observers, got, want)
			}
		}
	}
}

// TestPriorities: all sixteen, of mixed kinds, added in any order. Each in turn is the one that keeps the message.
func TestPriorities(t *testing.T) {
	const first, last = int(dispatcher.PriorityCallback), int(dispatcher.PriorityLast)
	if first != -7 || last != 8 || dispatcher.PriorityDefault != 0 || dispatcher.PrioritySystem != 3 {
		t.Error("the priorities are not those of the C++ library, minus 7")
	}
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 7))
		for keeper := first; keeper <= last; keeper++ {
			mux, _ := quiet()
			var called calls
			for _, i := range rng.Perm(last - first + 1) {
				priority := first + i
				match := kinds[rng.IntN(len(kinds))].match
				match.Handler = called.handler(fmt.Sprint(priority))
				match.Priority = dispatcher.Priority(priority)
				match.Observer = priority != keeper
				mustAdd(t, mux, match)
			}
			var want []string
			for priority := first; priority <= keeper; priority++ {
				want = append(want, fmt.Sprint(priority))
			}
			dispatch(t, mux, "EVENT_DONE")
			if got := called.take(); got != strings.Join(want, " ") {
				t.Errorf("seed %d: called %s, want %s", seed, got, want)
			}
		}
	}
}

// TestObservers: an observer of each kind, in front of what keeps the message, alone, and behind it.
func TestObservers(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			mux, log := quiet()
			var called calls
			if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
				t.Fatal(err)
			}
			observer := kind.match
			observer.Observer, observer.Handler, observer.Tag = true, called.handler("observer"), "observer"
			mustAdd(t, mux, observer)
			want := func(text, names, reply string) {
				t.Helper()
				sent := strings.Join(dispatch(t, mux, text), " ")
				if got := called.take(); got != names || sent != reply {
					t.Errorf("%s: called %q, sent %q; want %q, %q", text, got, sent, names, reply)
				}
			}
			want("EVENT_DONE", "observer", "") // it has handled the message, so it is not unknown
			want("DANCE", "", "UNKNOWN command=DANCE")
			mux.HandleUnknown(called.handler("rest"))
			want("EVENT_DONE", "observer", "")
			want("DANCE", "rest", "")
			mux.Handle("EVENT_DO*", called.handler("keeper"))
			want("EVENT_DONE", "observer keeper", "")
			observer.Handler = called.handler("second")
			mustAdd(t, mux, observer)
			want("EVENT_DONE", "observer keeper", "")
			observer.Priority, observer.Handler = -1, called.handler("early")
			mustAdd(t, mux, observer)
			want("EVENT_DONE", "early observer keeper", "")
			if n := mux.Remove("observer"); n != 3 {
				t.Errorf("removed %d", n)
			}
			want("EVENT_DONE", "keeper", "")
			if log.Len() > 0 || mux.Unhandled() != 1 { // the one answered by UNKNOWN
				t.Errorf("%d unhandled, want 1, logged %s", mux.Unhandled(), log)
			}
		})
	}
}

// TestObserverAlone: without a catch-all and defaults as well a message that was observed was handled.
func TestObserverAlone(t *testing.T) {
	mux, log := quiet()
	var called calls
	mustAdd(t, mux, dispatcher.Match{Command: "A*", Observer: true, Handler: called.handler("observer")})
	dispatch(t, mux, "AB")
	if got := called.take(); got != "observer" || mux.Unhandled() != 0 || log.Len() > 0 {
		t.Errorf("called %q, %d unhandled, logged %s", got, mux.Unhandled(), log)
	}
}

// TestErrorsOfObserversAreJoined: an error keeps nobody else from the message, and none is lost.
func TestErrorsOfObserversAreJoined(t *testing.T) {
	failures := make([]error, len(kinds)+1)
	for i := range failures {
		failures[i] = fmt.Errorf("failure %d", i)
	}
	for failing := range 1 << len(failures) { // every choice of those that fail
		mux, log := quiet()
		var called calls
		for i := range failures {
			match := dispatcher.Match{Command: "EVENT_DONE"} // the last one keeps it
			if i < len(kinds) {
				match = kinds[i].match
				match.Observer = true
			}
			match.Handler = message.HandlerFunc(func(message.Sender, *message.Message) error {
				called = append(called, fmt.Sprint(i))
				if failing&(1<<i) != 0 {
					return failures[i]
				}
				return nil
			})
			mustAdd(t, mux, match)
		}
		err := mux.HandleMessage(nil, message.New("EVENT_DONE"))
		if got := called.take(); got != "0 1 2 3 4" {
			t.Errorf("called %q", got)
		}
		var texts []string
		for i, failure := range failures {
			if failed := failing&(1<<i) != 0; errors.Is(err, failure) != failed {
				t.Errorf("%05b: got %v", failing, err)
			} else if failed {
				texts = append(texts, failure.Error())
			}
		}
		if err == nil != (texts == nil) || err != nil && err.Error() != strings.Join(texts, "\n") {
			t.Errorf("got %v, want %q in that order", err, texts)
		}
		var several interface {
			error
			Unwrap() []error
		}
		if errors.As(err, &several) != (len(texts) > 1) {
			t.Errorf("%d errors are a %T", len(texts), err)
		}
		if log.Len() > 0 {
			t.Errorf("returned and logged: %s", log)
		}
	}
}

func TestErrorOfCatchAll(t *testing.T) {
	mux, _ := quiet()
	failure := errors.New("failure")
	mux.HandleUnknown(message.HandlerFunc(func(message.Sender, *message.Message) error { return failure }))
	if err := mux.HandleMessage(nil, message.New("ANY")); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// TestRemoveAcrossKinds: a tag is shared by matches of all kinds and priorities, and by no others.
func TestRemoveAcrossKinds(t *testing.T) {
	mux, _ := quiet()
	var called calls
	for i, kind := range kinds {
		for _, tag := range []string{"", "one", "two", "ONE"} {
			match := kind.match
			match.Observer, match.Tag, match.Priority = true, tag, dispatcher.Priority(i)
			match.Handler = called.handler(fmt.Sprint(i, tag))
			mustAdd(t, mux, match)
		}
	}
	for _, step := range []struct {
		tag     string
		removed int
		want    string
	}{
		{"", 0, "0 0one 0two 0ONE 1 1one 1two 1ONE 2 2one 2two 2ONE 3 3one 3two 3ONE"},
		{"on", 0, "0 0one 0two 0ONE 1 1one 1two 1ONE 2 2one 2two 2ONE 3 3one 3two 3ONE"},
		{"one", 4, "0 0two 0ONE 1 1two 1ONE 2 2two 2ONE 3 3two 3ONE"},
		{"one", 0, "0 0two 0ONE 1 1two 1ONE 2 2two 2ONE 3 3two 3ONE"},
		{"two", 4, "0 0ONE 1 1ONE 2 2ONE 3 3ONE"},
		{"ONE", 4, "0 1 2 3"},
	} {
		if n := mux.Remove(step.tag); n != step.removed {
			t.Errorf("%q: removed %d, want %d", step.tag, n, step.removed)
		}
		dispatch(t, mux, "EVENT_DONE")
		if diff := cmp.Diff(step.want, called.take()); diff != "" {
			t.Errorf("%q: want (-), got (+):\n%s", step.tag, diff)
		}
	}
	if diff := cmp.Diff([]string{"EVENT_DONE"}, mux.Commands()); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// TestAddedAgain: what is removed and added again comes behind the others.
func TestAddedAgain(t *testing.T) {
	mux, _ := quiet()
	var called calls
	for _, name := range []string{"one", "two", "one"} {
		mux.Remove(name)
		for _, kind := range kinds[:2] {
			match := kind.match
			match.Observer, match.Tag, match.Handler = true, name, called.handler(name+"-"+kind.name)
			mustAdd(t, mux, match)
		}
	}
	dispatch(t, mux, "EVENT_DONE")
	if got := called.take(); got != "two-exact two-pattern one-exact one-pattern" {
		t.Errorf("called %q", got)
	}
}

// TestHelpAndCommands: the exact commands, sorted, each once, whatever their priority; Help adds the others.
func TestHelpAndCommands(t *testing.T) {
	mux, _ := quiet()
	var called calls
	h := called.handler("h")
	if err := mux.AddDefaults(dispatcher.Service{Help: func() []string { return []string{"ZOO", "EVENT_UP", "PING", "ZOO"} }}); err != nil {
		t.Fatal(err)
	}
	for _, match := range []dispatcher.Match{
		{Command: "PING"}, {Command: "PING", Priority: 5}, {Command: "STOP"}, {Command: "B", Observer: true}, {Command: "A", Priority: -7},
		{Command: "EVENT*"}, {Command: "?"}, {Regexp: "NO"}, {Func: func(*message.Message) bool { return false }}, {Command: "GONE", Tag: "t"},
	} {
		match.Handler = h
		mustAdd(t, mux, match)
	}
	mux.Remove("t")
	want := "A,ALIVE,B,HELP,INVALID,LEAK,LOG_ROTATE,PING,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN"
	commands := mux.Commands()
	if got := strings.Join(commands, ","); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	commands[0] = "CHANGED" // the list is the caller's
	help := "COMMANDS list=" + strings.Replace(want, "HELP", "EVENT_UP,HELP", 1) + ",ZOO"
	for range 2 {
		if got := strings.Join(dispatch(t, mux, "HELP"), "\n"); got != help {
			t.Errorf("got %s, want %s", got, help)
		}
	}
}
