package dispatcher_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// model is a Mux as simple as can be: it looks at everything, each time.
type model struct {
	matches   []modelMatch // in the order of adding
	fallback  bool
	defaults  bool
	unhandled uint64
}

type modelMatch struct {
	dispatcher.Match
	name string
	err  error
}

func (m *model) dispatch(msg *message.Message) (called []string, reply string, errs []error) {
	sorted := slices.Clone(m.matches)
	slices.SortStableFunc(sorted, func(a, b modelMatch) int { return int(a.Priority) - int(b.Priority) })
	for _, match := range sorted {
		if !match.wants(msg) {
			continue
		}
		called = append(called, match.name)
		if match.err != nil {
			errs = append(errs, match.err)
		}
		if !match.Observer {
			break
		}
	}
	switch {
	case called != nil:
	case m.fallback:
		called = []string{"fallback"}
	case m.defaults:
		reply = "UNKNOWN command=" + msg.Command()
		m.unhandled++
	default:
		m.unhandled++
	}
	return called, reply, errs
}

func (m modelMatch) wants(msg *message.Message) bool {
	switch {
	case m.Func != nil:
		return m.Func(msg)
	case m.Regexp != "":
		re := regexp.MustCompile(m.Regexp)
		re.Longest()
		at := re.FindStringIndex(msg.Command())
		return at != nil && at[0] == 0 && at[1] == len(msg.Command())
	}
	return modelWildcard(m.Command, msg.Command())
}

// modelWildcard tries everything that a star may stand for.
func modelWildcard(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return modelWildcard(pattern[1:], s) || s != "" && modelWildcard(pattern, s[1:])
	}
	return s != "" && (pattern[0] == '?' || pattern[0] == s[0]) && modelWildcard(pattern[1:], s[1:])
}

func (m *model) remove(tag string) int {
	before := len(m.matches)
	m.matches = slices.DeleteFunc(m.matches, func(match modelMatch) bool { return tag != "" && match.Tag == tag })
	return before - len(m.matches)
}

func (m *model) commands() (commands []string) {
	for _, match := range m.matches {
		if match.Command != "" && !strings.ContainsAny(match.Command, "*?") {
			commands = append(commands, match.Command)
		}
	}
	slices.Sort(commands)
	return slices.Compact(commands)
}

// randomText returns at most so many of the letters.
func randomText(rng *rand.Rand, letters string, most int) string {
	text := make([]byte, 1+rng.IntN(most))
	for i := range text {
		text[i] = letters[rng.IntN(len(letters))]
	}
	return string(text)
}

func randomMatch(rng *rand.Rand) (match dispatcher.Match) {
	switch rng.IntN(4) {
	case 0:
		match.Command = randomText(rng, "AB", 3)
	case 1:
		match.Command = randomText(rng, "AB*?", 5)
	case 2:
		match.Regexp = []string{
			"A|B", "A.*", "(AB)+", ".*B", "[AB]?", "A*", "|BA", "B{2}|A", "(?i)a+b", "^A", "B$", "[^A]+", "A*?", "AB|A|BA",
		}[rng.IntN(14)]
	case 3:
		n, tag := rng.IntN(4), randomText(rng, "xy", 1)
		match.Func = func(m *message.Message) bool { return len(m.Command()) == n || m.Get("tag") == tag }
	}
	match.Observer = rng.IntN(2) == 0
	if rng.IntN(3) > 0 {
		match.Priority = dispatcher.Priority(rng.IntN(16) - 7)
	}
	match.Tag = []string{"", "one", "two", "three"}[rng.IntN(4)]
	return match
}

// TestLikeTheModel makes random changes and dispatches random messages.
func TestLikeTheModel(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 3))
		mux, _ := quiet()
		var m model
		var called calls
		for step := range 120 {
			switch rng.IntN(12) {
			case 0, 1, 2:
				match := modelMatch{Match: randomMatch(rng), name: fmt.Sprint("h", step)}
				if rng.IntN(5) == 0 {
					match.err = errors.New(match.name + " failed")
				}
				match.Handler = message.HandlerFunc(func(message.Sender, *message.Message) error {
					called = append(called, match.name)
					return match.err
				})
				mustAdd(t, mux, match.Match)
				m.matches = append(m.matches, match)
			case 3:
				tag := []string{"", "one", "two", "three", "four"}[rng.IntN(5)]
				if got, want := mux.Remove(tag), m.remove(tag); got != want {
					t.Fatalf("seed %d: removed %d of %q, want %d", seed, got, tag, want)
				}
			case 4:
				if rng.IntN(20) == 0 && !m.fallback {
					m.fallback = true
					mux.HandleUnknown(called.handler("fallback"))
				}
			case 5:
				if rng.IntN(20) == 0 && !m.defaults {
					m.defaults = true
					if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
						t.Fatal(err)
					}
				}
			default:
				msg := message.New(randomText(rng, "AB", 5)).Set("tag", randomText(rng, "xyz", 1))
				wantCalled, wantReply, wantErrs := m.dispatch(msg)
				var w wire
				err := mux.HandleMessage(&w, msg)
				got := []string{called.take(), strings.Join(w.lines, "\n"), fmt.Sprint(err), fmt.Sprint(mux.Unhandled())}
				want := []string{strings.Join(wantCalled, " "), wantReply, fmt.Sprint(errors.Join(wantErrs...)), fmt.Sprint(m.unhandled)}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("seed %d: %v: want (-), got (+):\n%s", seed, msg, diff)
				}
			}
		}
		commands := slices.DeleteFunc(mux.Commands(), func(c string) bool { return m.defaults && strings.Trim(c, "AB") != "" })
		if !slices.Equal(commands, m.commands()) {
			t.Errorf("seed %d: commands %q, want %q", seed, commands, m.commands())
		}
	}
}
