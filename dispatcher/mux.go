package dispatcher

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

var _ message.Handler = (*Mux)(nil)

// Config is how a [Mux] is made. Its zero value is fine.
type Config struct {
	// Logger gets the messages that nobody handles or that are refused, and what the default commands report; and at
	// debug level the matches that are added and removed. Nil: the standard logger of logrus.
	Logger *slog.Logger
	// Definitions are what the parameters of messages have to be. A wrong message does not get to a handler, nor to
	// that of HandleUnknown, but is answered by INVALID; a command that nobody handles is not checked. Nil: nothing is
	// checked.
	Definitions *definition.Set
	// Coverage counts the messages received. Nil: they are not counted.
	Coverage *message.Coverage
	// Trace logs each message received, at info level.
	Trace bool
	// Now is the clock of the default commands. Nil: time.Now.
	Now func() time.Time
}

// Mux calls the handlers of each message. See the package documentation for the order and the goroutines.
type Mux struct {
	log    *slog.Logger
	config Config

	changing  sync.Mutex
	changed   *table                // what table will be, nil if it is that already
	table     atomic.Pointer[table] // replaced, never changed; nil while there is a changed one
	unhandled atomic.Uint64
	refused   atomic.Uint64

	unhandledLog logger.Limited
	refusedLog   logger.Limited
}

// New returns a Mux that handles nothing yet.
func New(config Config) *Mux {
	mux := &Mux{log: logger.Or(config.Logger), config: config}
	if mux.config.Now == nil {
		mux.config.Now = time.Now
	}
	mux.table.Store(&table{})
	return mux
}

// Handle has h called for a command, or a pattern of commands (see Match.Command), at PriorityDefault. Of a command and a
// pattern that includes it, the one that is handled first takes it: handle the commands before the patterns. Handle
// panics, as http.ServeMux does, when a command or a pattern that is there already takes all that h is to get, when the
// command is no command, and when h is nil: these are mistakes in the program. For commands read at run time, and for
// several handlers of one, use [Mux.Add].
func (mux *Mux) Handle(command string, h message.Handler) {
	compiled, err := compile(Match{Command: command, Handler: h})
	if err == nil {
		err = mux.change(func(t *table) error {
			if taker := t.taker(command, PriorityDefault); taker != nil {
				return fmt.Errorf("handler of %s: %w by %v", command, ErrAlreadySet, taker)
			}
			t.add(compiled)
			return nil
		})
	}
	if err != nil {
		panic(err)
	}
	mux.logMatches("match added", compiled)
}

// HandleFunc is [Mux.Handle] for a function.
func (mux *Mux) HandleFunc(command string, f func(from message.Sender, m *message.Message) error) {
	if f == nil {
		panic(ErrNoHandler)
	}
	mux.Handle(command, message.HandlerFunc(f))
}

// Add adds a match, after those of the same priority. The error is message.ErrName, [ErrMatch], [ErrPriority] or
// [ErrNoHandler]; then nothing is added.
func (mux *Mux) Add(m Match) error {
	compiled, err := compile(m)
	if err != nil {
		return err
	}
	_ = mux.change(func(t *table) error { t.add(compiled); return nil })
	mux.logMatches("match added", compiled)
	return nil
}

// HandleUnknown has h called for the messages that no match wants, instead of the UNKNOWN reply of [Mux.AddDefaults]. There
// is one such handler: it panics when there is one already, and when h is nil.
func (mux *Mux) HandleUnknown(h message.Handler) {
	if isNil(h) {
		panic(ErrNoHandler)
	}
	err := mux.change(func(t *table) error {
		if t.unknown != nil {
			return fmt.Errorf("handler of unknown commands: %w", ErrAlreadySet)
		}
		t.unknown = h
		return nil
	})
	if err != nil {
		panic(err)
	}
	mux.log.Debug("handler of unknown commands added")
}

func (mux *Mux) logMatches(text string, matches ...*match) {
	for _, m := range matches {
		mux.log.Debug(text, "match", m) //nolint:sloglint // the text is constant where it is written
	}
}

// Remove removes the matches with this tag and returns how many there were: none for the empty tag.
func (mux *Mux) Remove(tag string) int {
	if tag == "" {
		return 0
	}
	var removed []*match
	_ = mux.change(func(t *table) error {
		removed = t.remove(func(m *match) bool { return m.Tag == tag })
		return nil
	})
	mux.logMatches("match removed", removed...)
	return len(removed)
}

// Commands returns the commands that have an exact match, sorted.
func (mux *Mux) Commands() []string {
	return slices.Sorted(maps.Keys(mux.current().exact))
}

// Unhandled returns how many messages no handler of yours was there for: they were answered by UNKNOWN, or dropped.
func (mux *Mux) Unhandled() uint64 { return mux.unhandled.Load() }

// Refused returns how many messages were refused, by their definition or by a handler.
func (mux *Mux) Refused() uint64 { return mux.refused.Load() }

// HandleMessage calls the handlers of m, and returns their errors, joined if there are several. It returns nil when there
// is no handler, and when m is refused: a peer does not lose its connection for that. Without from there is nobody to
// answer, and nobody is.
func (mux *Mux) HandleMessage(from message.Sender, m *message.Message) error {
	mux.config.Coverage.AddReceived(m)
	if mux.config.Trace {
		mux.log.Info("message received", "message", m)
	}
	t := mux.table.Load()
	if t == nil {
		t = mux.current()
	}
	var found search
	found.start(t, m)
	match := mux.next(&found)
	if match == nil {
		return mux.handleUnknown(found.table, from, m)
	}
	if err := mux.config.Definitions.Check(m); err != nil {
		return mux.refuse(from, m, err)
	}
	var failures error
	for match != nil {
		if err := match.Handler.HandleMessage(from, m); err != nil {
			if refusal(err) != nil {
				return join(failures, mux.refuse(from, m, err))
			}
			failures = join(failures, err)
		}
		if !match.Observer {
			break
		}
		match = mux.next(&found)
	}
	return failures
}

// next returns the next match of a search. Where one was removed meanwhile, another may have been added in its place.
func (mux *Mux) next(s *search) *match {
	m := s.next()
	for m == nil && s.skipped {
		now := mux.current()
		if now == s.table {
			break
		}
		s.start(now, s.message)
		m = s.next()
	}
	return m
}

// join is errors.Join, but leaves a single error as it is.
func join(first, second error) error {
	if first == nil {
		return second
	}
	if second == nil {
		return first
	}
	return errors.Join(first, second)
}

// handleUnknown handles a message without a match.
func (mux *Mux) handleUnknown(t *table, from message.Sender, m *message.Message) error {
	h := t.unknown
	switch {
	case h != nil:
		if err := mux.config.Definitions.Check(m); err != nil {
			return mux.refuse(from, m, err)
		}
	case t.defaults != nil:
		h = t.defaults
		mux.unhandled.Add(1)
	default:
		mux.unhandled.Add(1)
		mux.unhandledLog.Log(mux.log, slog.LevelWarn, "message without a handler", "message", m)
		return nil
	}
	err := h.HandleMessage(from, m)
	if refusal(err) != nil {
		return mux.refuse(from, m, err)
	}
	return err
}

// change changes the table, unless f fails, in which case it must not have changed it. Of several changes in a row only the
// first one copies the table, and each the lists that it changes.
func (mux *Mux) change(f func(*table) error) error {
	mux.changing.Lock()
	defer mux.changing.Unlock()
	if mux.changed == nil {
		mux.changed = mux.table.Load().clone()
		mux.table.Store(nil)
	}
	return f(mux.changed)
}

// current returns the table with all changes.
func (mux *Mux) current() *table {
	mux.changing.Lock()
	defer mux.changing.Unlock()
	if mux.changed != nil {
		mux.table.Store(mux.changed)
		mux.changed = nil
	}
	return mux.table.Load()
}
