//go:build linux

package signals

import "time"

// SetWindow changes within what time signals count as one, and returns what it was; 0: each counts.
func (s *Signals) SetWindow(window time.Duration) (old time.Duration) {
	s.pending.mu.Lock()
	defer s.pending.mu.Unlock()
	old, s.pending.window = s.pending.window, window
	return old
}
