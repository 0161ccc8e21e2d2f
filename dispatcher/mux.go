package dispatcher

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
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
	// Definitions are what the parameters of messages have to be. A wrong message does not get to a handler, nor to
	// that of HandleDefault, but is answered by INVALID; a command that nobody handles is not checked. Nil: nothing is
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
			if t.keeps(command, PriorityDefault) {
				return fmt.Errorf("handler of %s: %w", command, ErrAlreadySet)
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

// HandleDefault has h called for the messages that no match wants. There is one such handler: a second call fails with
// [ErrAlreadySet], and nil is [ErrNoHandler]. It is preferred to the UNKNOWN reply of [Mux.AddDefaults].
func (mux *Mux) HandleDefault(h message.Handler) error {
	if h == nil {
		return ErrNoHandler
	}
	err := mux.change(func(t *table) error {
		if t.fallback != nil {
			return fmt.Errorf("handler of all other commands: %w", ErrAlreadySet)
		}
		t.fallback = h
		return nil
	})
	if err == nil {
		mux.log.Debug("handler of all other commands added")
	}
	return err
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
	return slices.Sorted(maps.Keys(mux.table.Load().exact))
}

// Unhandled returns how many messages were dropped because there was no handler for them.
func (mux *Mux) Unhandled() uint64 { return mux.unhandled.Load() }

// Refused returns how many messages were refused: because of their definition, or by a handler that returned a
// *message.Error.
func (mux *Mux) Refused() uint64 { return mux.refused.Load() }

// HandleMessage calls the handlers of m, and returns their errors, joined if there are several. It returns nil when there
// is no handler, and when m is refused: a peer does not lose its connection for that. Without from there is nobody to
// answer, and nobody is.
func (mux *Mux) HandleMessage(from message.Sender, m *message.Message) error {
	mux.config.Coverage.AddReceived(m)
	if mux.config.Trace {
		mux.log.Info("message received", "message", m)
	}
	if err := mux.dispatch(from, m); err != nil {
		return mux.failed(from, m, err)
	}
	return nil
}

// dispatch calls the handlers of a message.
func (mux *Mux) dispatch(from message.Sender, m *message.Message) error {
	t := mux.table.Load()
	found := t.search(m)
	match := found.next()
	if match == nil {
		return mux.handleOther(t, from, m)
	}
	if err := mux.config.Definitions.Check(m); err != nil {
		return err
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
			return err
		}
		return t.fallback.HandleMessage(from, m)
	case t.defaults != nil:
		return t.defaults.HandleMessage(from, m)
	}
	mux.unhandled.Add(1)
	mux.unhandledLog.Log(mux.log, slog.LevelWarn, "message without a handler", "message", m)
	return nil
}

// failed takes the error of a message. If that is something wrong with a message, m is refused: it was m that was wrong, or
// that had the handler make an answer which can't be written. INVALID and UNKNOWN are never answered, or two services
// could send them to each other for ever.
func (mux *Mux) failed(from message.Sender, m *message.Message, err error) error {
	if wrong := (*message.Error)(nil); !errors.As(err, &wrong) {
		return err
	}
	mux.refused.Add(1)
	mux.refusedLog.Log(mux.log, slog.LevelWarn, "message refused", "message", m, "error", err)
	if c := m.Command(); from == nil || c == message.CommandInvalid || c == message.CommandUnknown {
		return nil
	}
	err = from.Send(m.ReplyInvalid(shorten(err.Error())))
	if wrong := (*message.Error)(nil); errors.As(err, &wrong) {
		return nil // not even this can be written, to a sender, or with a command, that a lenient parser let through
	}
	return err
}

// maxReason is the most bytes of a reason for INVALID, so that it fits into a datagram.
const maxReason = 600

func shorten(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "") + "..."
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
