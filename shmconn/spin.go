//go:build linux

package shmconn

import (
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
)

// spin is the looking for more before a connection sleeps, as long as that pays. A hit saves both sides some
// microseconds, a miss costs this one all of its time, so misses weigh more.
type spin struct {
	limit  time.Duration // of one; 0: never
	credit int           // none left: it is off
	until  time.Time     // when it is tried again
	pause  time.Duration // for how long it is off next time
}

const (
	spinCredit = 16 // hits in a row
	spinTrial  = 4  // credit to begin with, and after a pause
	spinMiss   = 2  // credit that a miss costs
	spinPause  = 10 * time.Millisecond
	spinRest   = time.Second // the longest pause
	spinLooks  = 64          // between two looks at the clock
)

func (s *spin) begin(limit time.Duration) {
	if limit > 0 {
		s.limit, s.credit, s.pause = limit, spinTrial, spinPause
	}
}

// pays tells whether it is worth trying.
func (s *spin) pays() bool {
	switch {
	case s.limit == 0:
		return false
	case s.credit > 0:
		return true
	case time.Now().Before(s.until):
		return false
	}
	s.credit = spinTrial
	return true
}

// wait looks for something to read until the limit is over.
func (s *spin) wait(in *ring.Reader) bool {
	for end := time.Now().Add(s.limit); ; {
		for range spinLooks {
			if in.More() {
				if s.credit = min(s.credit+1, spinCredit); s.credit == spinCredit {
					s.pause = spinPause
				}
				return true
			}
		}
		if !time.Now().Before(end) {
			break
		}
	}
	if s.credit -= spinMiss; s.credit <= 0 {
		s.until = time.Now().Add(s.pause)
		s.pause = min(2*s.pause, spinRest)
	}
	return false
}
