//go:build linux

package communicator

import (
	"strings"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// NoFD is what the FD method of a source without a descriptor returns.
const NoFD = sys.NoFD

// Priorities that most programs get along with. Any int32 will do; smaller is served first. Below 0
// is urgent: see the package's section "Loop turn".
const (
	PriorityUrgent = -100
	PriorityNormal = 0
	PriorityIdle   = 100
)

// Source is what a loop listens to: something with a descriptor, a deadline, or both. It should be
// a pointer. The loop calls all its methods, and those of the interfaces below, on the loop's
// goroutine.
type Source interface {
	// FD is the descriptor to watch, in non-blocking mode, or NoFD. It is asked at Add and at
	// Handle.Rebind, and must stay the same in between.
	FD() int
}

// ReadHandler is a source that is told when its descriptor is readable, has something exceptional, has an
// error or was hung up.
//
// HandleRead may steer and remove any handle, its own too. An error it returns removes the source with that error
// as the cause, as a failure; the loop goes on without it, unless the source is Essential. For an orderly end call
// Handle.Remove(nil).
type ReadHandler interface {
	HandleRead(h *Handle) error
}

// WriteHandler is a source that is told when its descriptor is writable, has an error or was hung
// up. The rules are those of ReadHandler.
type WriteHandler interface {
	HandleWrite(h *Handle) error
}

// TimeoutHandler is a source that is told when its deadline has come. The deadline is cleared
// before the call; the handler sets another if it wants one. The rules are those of ReadHandler.
type TimeoutHandler interface {
	HandleTimeout(h *Handle) error
}

// CloseHandler is a source that is told when it has left the loop: see the package's section
// "Close".
//
// The cause is nil after Remove(nil), the error that was given to Remove or returned by a callback,
// the kernel's, or, when the loop ended, an error for which errors.Is(cause, ErrClosed) and
// errors.Is of what ended the loop hold. The handle is of no use any more but for its name.
type CloseHandler interface {
	HandleClose(h *Handle, cause error)
}

// ShutdownHandler is a source that has something to finish before it leaves the loop: see
// Communicator.Shutdown. It ends itself, by Handle.Remove, when it has.
type ShutdownHandler interface {
	HandleShutdown(h *Handle)
}

// Interest is a set of what a descriptor is watched for.
type Interest uint8

// What a descriptor can be watched for. Nothing is a pause: see Handle.Want. Exceptional is what poll(2)
// calls POLLPRI: a trigger of the kernel's pressure files, an edge of a GPIO line, out-of-band data. It is
// served by HandleRead.
//
// EdgeTriggered, beside others, is epoll's EPOLLET: the source is called once for each time that something comes, or is
// taken and more is left, and not again for what it leaves. It has to keep in mind what it leaves, see MarkReadable. It
// is for descriptors that only announce something, such as an eventfd that nobody has to empty. Whenever the source begins
// to be watched, also at the end of a silence of its Rate, or is watched for something else, it is called for what is there already.
const (
	Nothing       Interest = 0
	Read          Interest = 1
	Write         Interest = 2
	Exceptional   Interest = 4
	EdgeTriggered Interest = 8
)

// String names the interest: "read", "write", "read+write", "read+edges", "nothing".
func (i Interest) String() string {
	var names []string
	if i&Read != 0 {
		names = append(names, "read")
	}
	if i&Write != 0 {
		names = append(names, "write")
	}
	if i&Exceptional != 0 {
		names = append(names, "exceptional")
	}
	if i&EdgeTriggered != 0 {
		names = append(names, "edges")
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, "+")
}

// Options say how a source is added. The zero value is right for most.
type Options struct {
	// Name is for people: logs, reports and listings. Empty: what the source's String method
	// returns, or else its type and descriptor.
	Name string
	// Priority: smaller is served first, below 0 is urgent. Zero: PriorityNormal.
	Priority int
	// Want is what the descriptor is watched for. Zero: Read if the source has HandleRead, else
	// Write. To begin with Nothing, call Handle.Want.
	Want Interest
	// Deadline is when HandleTimeout is called. Zero: never.
	Deadline time.Time
	// Slack is how much later than its deadline HandleTimeout may be called, so that sources which are due at
	// about the same time share one wake-up: the loop takes the roundest moment of that span. Zero: none.
	Slack time.Duration
	// Rate is how many events the source may have, and in what time. One that has had them gets no callback
	// until the time is over; what happens meanwhile waits in its descriptor. The time begins with the first
	// event after a pause, so that twice as many may come close together around its end. The zero Rate is no limit.
	Rate Rate
	// Essential ends the loop when the source fails: Run returns its error. Without it a source that fails is
	// removed, and the rest goes on.
	Essential bool
	// Background lets Run return although the source is in the loop, and Shutdown leave it there to the end,
	// unless it is a ShutdownHandler, which is asked like any other.
	Background bool
	// Disabled adds the source without listening to it yet.
	Disabled bool
	// Beside is the handle of a source that is one with this, such as the other descriptor of a pair of
	// pipes: the new one has its priority and is enabled and disabled with it, from now on and until one
	// of them leaves the loop. A handle has one beside it at most; a later one takes its place. Nil: the
	// source stands alone.
	Beside *Handle
}

// Rate is a number of events in an interval of time.
type Rate struct {
	Events   int
	Interval time.Duration
}

// ReadFunc is a source of any descriptor, such as an eventfd, a timerfd or a device, that calls f when the
// descriptor is readable. f has to read it: what is left is told again. The rules for f are those of
// ReadHandler. The descriptor must be non-blocking; it stays the caller's, who closes it when the source has
// left the loop.
func ReadFunc(fd int, f func(h *Handle) error) Source {
	if f == nil {
		panic("communicator: ReadFunc of a nil function")
	}
	return &readFunc{fd, f}
}

type readFunc struct {
	fd int
	f  func(h *Handle) error
}

func (r *readFunc) FD() int                    { return r.fd }
func (r *readFunc) HandleRead(h *Handle) error { return r.f(h) }

// queued is a source that can say how many bytes it holds back, for listings.
type queued interface{ QueuedBytes() int }

// counted is a source that can say how many bytes it has read and written, for listings.
type counted interface {
	ByteCounts() (read, written uint64)
}
