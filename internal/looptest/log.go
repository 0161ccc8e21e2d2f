//go:build linux

package looptest

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Log is a slog.Handler that keeps what is logged at level Info and above. Its zero value is empty; any goroutine
// may use it.
type Log struct {
	mu      sync.Mutex
	records []string
}

var _ slog.Handler = (*Log)(nil)

// Enabled tells whether records of that level are kept.
func (l *Log) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// WithAttrs returns l: attributes of a logger are not kept.
func (l *Log) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup returns l: groups are not kept.
func (l *Log) WithGroup(string) slog.Handler { return l }

// Handle keeps a record as its level, its message and its attributes.
func (l *Log) Handle(_ context.Context, r slog.Record) error {
	text := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, text)
	return nil
}

// Records returns all the records.
func (l *Log) Records() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

// Containing returns the records with that in them.
func (l *Log) Containing(part string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.records {
		if strings.Contains(r, part) {
			found = append(found, r)
		}
	}
	return found
}
