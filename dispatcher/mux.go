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
	// Logger gets the messages that nobody handles and what the default commands report; and at debug level
	// the matches that are added and removed. Nil: the standard logger of logrus.
	Logger *slog.Logger
	// Definitions are what the parameters of messages have to be. A wrong message does not get to a handler, but is
	// answered by INVALID. Nil: nothing is checked.
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
	table     atomic.Pointer[table] // replaced, never changed
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

// Handle has h called for a command, or a pattern of commands (see Match.Command), at PriorityDefault. It panics, as
// http.ServeMux does, when the command is no command or has a handler at that priority already, or when h is nil: that is
// a mistake in the program. For commands read at run time, and for several handlers of one, use [Mux.Add].
func (mux *Mux) Handle(command string, h message.Handler) {
	compiled, err := compile(Match{Command: command, Handler: h})
	if err == nil {
		err = mux.change(func(t *table) error {
			if t.has(command, PriorityDefault) {
				return fmt.Errorf("handler of %s: %w", command, ErrAlreadySet)
			}
			t.add(compiled)
			return nil
		})
	}
	if err != nil {
		panic(err)
	}
	mux.log.Debug("match added", "match", compiled)
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
	mux.log.Debug("match added", "match", compiled)
	return nil
}

// HandleDefault has h called for the messages that no match wants. There is one such handler: a second call fails with
// [ErrAlreadySet], and nil is [ErrNoHandler]. It is preferred to the UNKNOWN reply of [Mux.AddDefaults].
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
	if tag == "" {
		return 0
	}
	var removed []*match
	_ = mux.change(func(t *table) error {
		removed = t.remove(func(m *match) bool { return m.Tag == tag })
		return nil
	})
	for _, m := range removed {
		mux.log.Debug("match removed", "match", m)
	}
	return len(removed)
}

// Commands returns the commands that have an exact match, sorted.
func (mux *Mux) Commands() []string {
	return slices.Sorted(maps.Keys(mux.table.Load().exact))
}

// Unhandled returns how many messages were dropped because there was no handler for them.
func (mux *Mux) Unhandled() uint64 { return mux.unhandled.Load() }

// Refused returns how many messages did not get to their handler because their definition does not allow them.
func (mux *Mux) Refused() uint64 { return mux.refused.Load() }

// HandleMessage calls the handlers of m, and returns their errors, joined if there are several. It returns nil when there
// is no handler, and when m is wrong: a peer does not lose its connection for that. The error of an answer that can't be
// sent is returned. from may be nil, if your
// handlers allow it: then this package answers nothing.
func (mux *Mux) HandleMessage(from message.Sender, m *message.Message) error {
	mux.config.Coverage.AddReceived(m)
	if mux.config.Trace {
		mux.log.Info("message received", "message", m)
	}
	t := mux.table.Load()
	found := t.search(m)
	match := found.next()
	if match == nil {
		return mux.handleOther(t, from, m)
	}
	if err := mux.config.Definitions.Check(m); err != nil {
		return mux.refuse(from, m, err)
	}
	err := match.Handler.HandleMessage(from, m)
	for match.Observer {
		if match = found.next(); match == nil {
			break
		}
		err = join(err, match.Handler.HandleMessage(from, m))
	}
	return err
}

// join is errors.Join for the usual case, in which it costs nothing.
func join(first, second error) error {
	switch {
	case second == nil:
		return first
	case first == nil:
		return second
	}
	return errors.Join(first, second)
}

// handleOther handles a message without a match.
func (mux *Mux) handleOther(t *table, from message.Sender, m *message.Message) error {
	switch {
	case t.fallback != nil:
		if err := mux.config.Definitions.Check(m); err != nil {
			return mux.refuse(from, m, err)
		}
		return t.fallback.HandleMessage(from, m)
	case t.defaults != nil:
		return t.defaults.HandleMessage(from, m)
	}
	mux.unhandled.Add(1)
	mux.unhandledLog.Log(mux.log, slog.LevelWarn, "message without a handler", "message", m)
	return nil
}

// refuse answers a message that is wrong. INVALID and UNKNOWN are never answered, or two services could send them to each
// other for ever.
func (mux *Mux) refuse(from message.Sender, m *message.Message, wrong error) error {
	mux.refused.Add(1)
	mux.refusedLog.Log(mux.log, slog.LevelWarn, "message refused", "message", m, "error", wrong)
	if c := m.Command(); c == message.CommandInvalid || c == message.CommandUnknown {
		return nil
	}
	return answer(from, m.ReplyInvalid(wrong.Error()))
}

// change replaces the table by one that f changed, unless f fails.
func (mux *Mux) change(f func(*table) error) error {
	mux.changing.Lock()
	defer mux.changing.Unlock()
	next := mux.table.Load().clone()
	if err := f(next); err != nil {
		return err
	}
	mux.table.Store(next)
	return nil
}
