package logger

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Limited logs what a peer can cause any number of times: once a second at most, with the number of
// records that were left out since. The zero value is ready; it may be used from several
// goroutines.
type Limited struct {
	mu      sync.Mutex
	next    time.Time
	omitted int
}

// Log logs, or leaves it out.
func (l *Limited) Log(log *slog.Logger, level slog.Level, text string, args ...any) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		l.omitted++
		return
	}
	if l.omitted > 0 {
		args = append(args, "omitted", l.omitted)
	}
	l.omitted = 0
	l.next = now.Add(time.Second)
	log.Log(context.Background(), level, text, args...) //nolint:sloglint // the text is constant where it is written
}
