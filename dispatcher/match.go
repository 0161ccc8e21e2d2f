package dispatcher

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync/atomic"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// Priority orders the matches: smaller first. It is the number of the C++ library, 0 to 15, minus 7, so that zero is the
// default.
type Priority int

// The priorities with a name. Any number from PriorityCallback to PriorityLast is one.
const (
	PriorityCallback Priority = -7 // before all others; 0 in the C++ library
	PriorityDefault  Priority = 0  // what Handle and HandleFunc use; 7 in the C++ library
	PrioritySystem   Priority = 3  // what AddDefaults uses, after those of the user; 10 in the C++ library
	PriorityLast     Priority = 8  // after all others; 15 in the C++ library
)

// Match says which messages a handler gets. Exactly one of Command, Regexp and Func must be set.
type Match struct {
	// Command is the command, compared exactly, or a pattern of commands, in which * stands for any characters, also
	// none, and ? for any one byte: EVENT*. Finding an exact one takes the same time for any number of them; the others
	// are tried one after the other.
	Command string
	// Regexp is a regular expression (package regexp) that the whole command has to match.
	Regexp string
	// Func reports whether it wants the message, which it must not change. It is called where handlers are.
	Func func(m *message.Message) bool
	// Observer lets the message go on to those who come later, unless its handler refuses it. They share the message,
	// so an observer must not change it. A message that only observers wanted is handled, and not unknown. So
	// observing * turns off UNKNOWN and HandleUnknown; the package documentation says how to see every message
	// instead.
	Observer bool
	// Priority is PriorityDefault when zero.
	Priority Priority
	// Handler gets the messages. It must not be nil.
	Handler message.Handler
	// Tag is a name to remove the match by, shared by as many as you like. Empty: it stays.
	Tag string
}

// match is a Match in a table.
type match struct {
	Match
	number  uint64 // of several with the same priority, the smaller comes first
	regexp  *regexp.Regexp
	removed atomic.Bool // also for messages that are being dispatched
}

func isNil(h message.Handler) bool {
	f, isFunc := h.(message.HandlerFunc)
	return h == nil || isFunc && f == nil
}

// compile checks a Match.
func compile(m Match) (*match, error) {
	compiled := &match{Match: m}
	kinds := 0
	for _, set := range []bool{m.Command != "", m.Regexp != "", m.Func != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return nil, fmt.Errorf("%w: %d of Command, Regexp and Func are set", ErrMatch, kinds)
	}
	if m.Command != "" {
		// A wildcard may stand for anything, so whatever a command may begin with takes its place.
		command := strings.NewReplacer("*", "_", "?", "_").Replace(m.Command)
		var wrong *message.Error
		if errors.As(message.New(command).Err(), &wrong) {
			wrong.Name = m.Command
			return nil, fmt.Errorf("dispatcher: %w", wrong)
		}
	}
	if m.Regexp != "" {
		// Parsed on its own, or A)|(?:B would be one.
		parsed, err := syntax.Parse(m.Regexp, syntax.Perl)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMatch, err)
		}
		if compiled.regexp, err = regexp.Compile(`\A(?:` + parsed.String() + `)\z`); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMatch, err)
		}
	}
	if isNil(m.Handler) {
		return nil, fmt.Errorf("%w for %v", ErrNoHandler, compiled)
	}
	if m.Priority < PriorityCallback || m.Priority > PriorityLast {
		return nil, fmt.Errorf("%w for %v: %d", ErrPriority, compiled, m.Priority)
	}
	return compiled, nil
}

// String returns what is matched.
func (m *match) String() string {
	switch {
	case m.Command != "":
		return m.Command
	case m.Regexp != "":
		return "/" + m.Regexp + "/"
	}
	return "function"
}

// LogValue returns the match for package log/slog.
func (m *match) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("command", m.String()),
		slog.Int("priority", int(m.Priority)),
		slog.Bool("observer", m.Observer),
		slog.String("tag", m.Tag),
	)
}

func (m *match) isExact() bool {
	return m.Command != "" && !strings.ContainsAny(m.Command, "*?")
}

// wants reports whether the message matches.
func (m *match) wants(msg *message.Message) bool {
	switch {
	case m.Command != "":
		return wildcard(m.Command, msg.Command())
	case m.regexp != nil:
		return m.regexp.MatchString(msg.Command())
	}
	return m.Func(msg)
}

// before orders the matches as they are tried.
func before(a, b *match) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.number, b.number))
}

// wildcard reports whether s matches the pattern. It goes back to the last star only, which is enough: what an earlier one
// could take, the last one can take too.
func wildcard(pattern, s string) bool {
	p, i := 0, 0
	star, resume := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			resume++
			p, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
