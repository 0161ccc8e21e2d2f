//go:build linux

package inspect

import (
	"context"
	"log/slog"
	"maps"
	"runtime/pprof"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// Trace is an observer that logs each callback at debug level when it has returned, with its source, its kind and
// the time it took. It is for finding out what a loop does; a busy one logs a lot.
func Trace(log *slog.Logger) communicator.Observer { return trace{log} }

type trace struct{ log *slog.Logger }

func (trace) BeginCallback(*communicator.Handle, communicator.Call) {}

func (t trace) EndCallback(h *communicator.Handle, call communicator.Call, took time.Duration) {
	ctx := context.Background()
	if !t.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	t.log.LogAttrs(ctx, slog.LevelDebug, "callback", slog.String("source", name(h)), slog.String("call", call.String()),
		slog.Duration("took", took))
}

// Labels is an observer that gives callbacks the labels "source" and "call" in CPU profiles: pprof -tagfocus and
// -tags then show which connection the time went to. It costs some 50 ns a callback, and memory for each source.
// Goroutines that a callback starts have its labels too. The label of a source is its name at its first callback.
// Between callbacks the goroutine has the labels of ctx.
func Labels(ctx context.Context) communicator.Observer {
	return &labels{base: ctx, known: map[*communicator.Handle]*[calls]context.Context{}}
}

const calls = int(communicator.CallFunction) + 1

type labels struct {
	base  context.Context
	known map[*communicator.Handle]*[calls]context.Context
	prune int // at this size of known, those that have left the loop are forgotten
}

func (l *labels) BeginCallback(h *communicator.Handle, call communicator.Call) {
	byCall := l.known[h]
	if byCall == nil {
		if len(l.known) >= l.prune {
			maps.DeleteFunc(l.known, func(h *communicator.Handle, _ *[calls]context.Context) bool { return h != nil && !h.Active() })
			l.prune = 2*len(l.known) + 64
		}
		byCall = &[calls]context.Context{}
		l.known[h] = byCall
	}
	if byCall[call] == nil {
		byCall[call] = pprof.WithLabels(l.base, pprof.Labels("source", name(h), "call", call.String()))
	}
	pprof.SetGoroutineLabels(byCall[call])
}

func (l *labels) EndCallback(h *communicator.Handle, call communicator.Call, _ time.Duration) {
	pprof.SetGoroutineLabels(l.base)
	if call == communicator.CallClose {
		delete(l.known, h) // others that have left are forgotten by and by
	}
}

func name(h *communicator.Handle) string {
	if h == nil {
		return "function"
	}
	return h.Name()
}
