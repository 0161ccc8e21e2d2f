package dispatcher

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

var _ message.Handler = (*Mux)(nil)

// Priority orders the handlers of one command: smaller first. It is the number of the C++ library minus 7,
// so that zero is the default.
type Priority int

// The priorities with a name. Any number from PriorityCallback to PriorityLast is one.
const (
	PriorityCallback Priority = -7 // before all others; 0 in the C++ library
	PriorityDefault  Priority = 0  // what Handle and HandleFunc use
	PrioritySystem   Priority = 3  // what AddDefaults uses, after those of the user
	PriorityLast     Priority = 8  // after all others; 15 in the C++ library
)

// Config is how a [Mux] is made. Its zero value is fine.
type Config struct {
	// Logger gets the messages that nobody handles and what the default commands report. Nil: the standard
	// logger of logrus.
	Logger *slog.Logger
	// Now is the clock of the default commands. Nil: time.Now.
	Now func() time.Time
}

// Match says which messages a handler gets.
type Match struct {
	// Command is the command, compared exactly. It must be a good one: see message.New.
	Command string
	// Priority is PriorityDefault when zero.
	Priority Priority
	// Handler gets the messages. It must not be nil.
	Handler message.Handler
	// Tag is a name to remove the match by, shared by as many as you like. Empty: it stays.
	Tag string
}

// Mux calls the handler of each message. See the package documentation for the order and the goroutines.
type Mux struct {
	log *slog.Logger
	now func() time.Time

	changing  sync.Mutex
	table     atomic.Pointer[table] // replaced, never changed
	unhandled atomic.Uint64

	unhandledLog logger.Limited
}

type table struct {
	matches  map[string][]Match // by command, none empty, in the order in which they are tried
	fallback message.Handler    // of HandleDefault
	defaults message.Handler    // of AddDefaults
}

// New returns a Mux that handles nothing yet.
func New(config Config) *Mux {
	mux := &Mux{log: logger.Or(config.Logger), now: config.Now}
	if mux.now == nil {
		mux.now = time.Now
	}
	mux.table.Store(&table{})
	return mux
}

// Handle has h called for a command, at PriorityDefault. It panics, as http.ServeMux does, when the command
// is no command or has a handler at that priority already, or when h is nil: that is a mistake in the program. For
// commands read at run time, and for several handlers of one, use [Mux.Add].
func (mux *Mux) Handle(command string, h message.Handler) {
	err := mux.change(func(t *table) error {
		for _, m := range t.matches[command] {
			if m.Priority == PriorityDefault {
				return fmt.Errorf("handler of %s: %w", command, ErrAlreadySet)
			}
		}
		return t.add(Match{Command: command, Handler: h})
	})
	if err != nil {
		panic(err)
	}
}

// HandleFunc is [Mux.Handle] for a function.
func (mux *Mux) HandleFunc(command string, f func(from message.Sender, m *message.Message) error) {
	if f == nil {
		panic(ErrNoHandler)
	}
	mux.Handle(command, message.HandlerFunc(f))
}

// Add adds a match. A command may have several: see the package documentation for which is used. The error
// is message.ErrName, [ErrPriority] or [ErrNoHandler]; then nothing is added.
func (mux *Mux) Add(match Match) error {
	return mux.change(func(t *table) error { return t.add(match) })
}

// HandleDefault has h called for the messages whose command has no match. There is one such handler: a
// second call fails with [ErrAlreadySet], and nil is [ErrNoHandler]. It is preferred to the UNKNOWN reply of
// [Mux.AddDefaults].
func (mux *Mux) HandleDefault(h message.Handler) error {
	if h == nil {
		return ErrNoHandler
	}
	return mux.change(func(t *table) error {
		if t.fallback != nil {
			return fmt.Errorf("handler of all other commands: %w", ErrAlreadySet)
		}
		t.fallback = h
		return nil
	})
}

// Remove removes the matches with this tag and returns how many there were: none for the empty tag.
func (mux *Mux) Remove(tag string) int {
	removed := 0
	if tag == "" {
		return removed
	}
	_ = mux.change(func(t *table) error {
		for command, list := range t.matches {
			kept := slices.DeleteFunc(slices.Clone(list), func(m Match) bool { return m.Tag == tag })
			removed += len(list) - len(kept)
			if t.matches[command] = kept; len(kept) == 0 {
				delete(t.matches, command)
			}
		}
		return nil
	})
	return removed
}

// Commands returns the commands that have a match, sorted.
func (mux *Mux) Commands() []string {
	return slices.Sorted(maps.Keys(mux.table.Load().matches))
}

// Unhandled returns how many messages were dropped because there was no handler for them.
func (mux *Mux) Unhandled() uint64 { return mux.unhandled.Load() }

// HandleMessage calls the handler of m and returns its error. It returns nil when there is no handler: a
// peer does not lose its connection for a command that is not known here.
func (mux *Mux) HandleMessage(from message.Sender, m *message.Message) error {
	t := mux.table.Load()
	if list := t.matches[m.Command()]; len(list) > 0 {
		return list[0].Handler.HandleMessage(from, m)
	}
	if t.fallback != nil {
		return t.fallback.HandleMessage(from, m)
	}
	if t.defaults != nil {
		return t.defaults.HandleMessage(from, m)
	}
	mux.unhandled.Add(1)
	mux.unhandledLog.Log(mux.log, slog.LevelWarn, "message without a handler", "message", m)
	return nil
}

// change replaces the table by one that f changed, unless f fails.
func (mux *Mux) change(f func(*table) error) error {
	mux.changing.Lock()
	defer mux.changing.Unlock()
	next := *mux.table.Load()
	if next.matches = maps.Clone(next.matches); next.matches == nil {
		next.matches = map[string][]Match{}
	}
	if err := f(&next); err != nil {
		return err
	}
	mux.table.Store(&next)
	return nil
}

// add adds a match to a table that is not in use yet. The lists in it are shared with one that is.
func (t *table) add(match Match) error {
	if err := message.New(match.Command).Err(); err != nil {
		return fmt.Errorf("dispatcher: %w", err)
	}
	if match.Handler == nil {
		return fmt.Errorf("%w for %s", ErrNoHandler, match.Command)
	}
	if match.Priority < PriorityCallback || match.Priority > PriorityLast {
		return fmt.Errorf("%w for %s: %d", ErrPriority, match.Command, match.Priority)
	}
	list := slices.Clone(t.matches[match.Command])
	at := len(list)
	for at > 0 && list[at-1].Priority > match.Priority {
		at--
	}
	t.matches[match.Command] = slices.Insert(list, at, match)
	return nil
}
