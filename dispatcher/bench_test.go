package dispatcher_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

var nothing = message.HandlerFunc(func(message.Sender, *message.Message) error { return nil })

// muxOf returns a Mux with so many commands, patterns and observers, and a message for one of the commands.
// No pattern matches it, each has to be tried; each observer gets it.
func muxOf(tb testing.TB, commands, patterns, observers int) (*dispatcher.Mux, *message.Message) {
	tb.Helper()
	mux, _ := quiet()
	for i := range patterns {
		mux.Handle(fmt.Sprintf("COM*_DONE_%d", i), nothing)
	}
	for i := range observers {
		match := dispatcher.Match{Command: "COMMAND_*", Observer: true, Handler: nothing}
		if i%2 == 0 {
			match.Command = fmt.Sprint("COMMAND_", commands/2)
		}
		mustAdd(tb, mux, match)
	}
	for i := range commands {
		mustAdd(tb, mux, dispatcher.Match{Command: fmt.Sprint("COMMAND_", i), Handler: nothing})
	}
	return mux, message.New(fmt.Sprint("COMMAND_", commands/2))
}

func TestDispatchDoesNotAllocate(t *testing.T) {
	fill := func(match dispatcher.Match) func(*dispatcher.Mux) {
		return func(mux *dispatcher.Mux) {
			match.Handler = nothing
			mustAdd(t, mux, match)
		}
	}
	for name, add := range map[string]func(*dispatcher.Mux){
		"exact":          fill(dispatcher.Match{Command: "EVENT_DONE"}),
		"pattern":        fill(dispatcher.Match{Command: "*V?N*_D*"}),
		"regexp":         fill(dispatcher.Match{Regexp: "EVENT_(UP|DOWN|DONE)"}),
		"function":       fill(dispatcher.Match{Func: func(m *message.Message) bool { return m.Len() == 0 }}),
		"observer":       fill(dispatcher.Match{Command: "EVENT_DONE", Observer: true}),
		"other observer": fill(dispatcher.Match{Command: "*", Observer: true}),
		"catch-all": func(mux *dispatcher.Mux) {
			mux.HandleUnknown(nothing)
		},
		"all of them": func(mux *dispatcher.Mux) {
			for i, kind := range kinds {
				observe(t, mux, i, "", nothing)
				fill(kind.match)(mux)
			}
		},
	} {
		mux, _ := quiet()
		fill(dispatcher.Match{Command: "OTHER"})(mux)
		fill(dispatcher.Match{Command: "OTHER*"})(mux)
		add(mux)
		m := message.New("EVENT_DONE")
		if n := testing.AllocsPerRun(100, func() { _ = mux.HandleMessage(nil, m) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if mux.Unhandled() > 0 {
			t.Errorf("%s: unhandled", name)
		}
	}
}

func BenchmarkDispatch(b *testing.B) {
	for _, commands := range []int{10, 1000} {
		b.Run(fmt.Sprint(commands, "commands"), func(b *testing.B) { benchmarkDispatch(b, commands, 0, 0) })
	}
	b.Run("1000commands10patterns", func(b *testing.B) { benchmarkDispatch(b, 1000, 10, 0) })
	b.Run("1000commands10observers", func(b *testing.B) { benchmarkDispatch(b, 1000, 0, 10) })
	b.Run("1000commands10patterns10observers", func(b *testing.B) { benchmarkDispatch(b, 1000, 10, 10) })
	b.Run("worstpattern", func(b *testing.B) { // 100 stars, the longest command, and no match
		mux, _ := quiet()
		mux.Handle(strings.Repeat("*A", 100)+"B", nothing)
		mustAdd(b, mux, dispatcher.Match{Command: "*", Priority: dispatcher.PriorityLast, Handler: nothing})
		run(b, mux, message.New(strings.Repeat("A", message.DefaultMaxName)))
	})
}

func benchmarkDispatch(b *testing.B, commands, patterns, observers int) {
	b.Helper()
	mux, m := muxOf(b, commands, patterns, observers)
	run(b, mux, m)
}

func run(b *testing.B, mux *dispatcher.Mux, m *message.Message) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if err := mux.HandleMessage(nil, m); err != nil {
			b.Fatal(err)
		}
	}
	if mux.Unhandled() > 0 {
		b.Error("no handler was called")
	}
}
