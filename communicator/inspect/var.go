//go:build linux

package inspect

import (
	"context"
	"encoding/json"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

// Patience is how long a Var waits for its loop to answer.
const Patience = time.Second

// Var is the loop's figures as a variable of package expvar: a JSON object.
type Var struct {
	loop *communicator.Communicator
}

// NewVar returns the figures of the loop for expvar.Publish, which this package leaves to the program because
// package expvar brings an HTTP server along.
func NewVar(loop *communicator.Communicator) *Var { return &Var{loop} }

// String asks the loop, and waits for its answer for a second; the object then has nothing but "error". It
// may be called from any goroutine but the loop's, where the answer is an error too.
func (v *Var) String() string {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var f figures
	err := v.loop.Do(ctx, func() error {
		f = figuresOf(v.loop)
		return nil
	})
	var text []byte
	if err == nil {
		text, err = json.Marshal(f)
	}
	if err != nil {
		text, _ = json.Marshal(map[string]string{"error": err.Error()}) // strings always can be
	}
	return string(text)
}

// figures of a loop. Durations are in seconds, as monitoring has them.
type figures struct {
	Sources   int     `json:"sources"`
	Turns     uint64  `json:"turns"`
	Callbacks uint64  `json:"callbacks"`
	Slow      uint64  `json:"slow_callbacks"`
	Posted    uint64  `json:"functions"`
	Waiting   int     `json:"functions_waiting"`
	Holds     int     `json:"holds"`
	Closed    uint64  `json:"sources_closed"`
	Stale     uint64  `json:"stale_events"`
	Looks     uint64  `json:"looks"`
	Idle      float64 `json:"idle_seconds"`
	Age       float64 `json:"age_seconds"`
	Lag       span    `json:"deadlines_late"`
	Busy      span    `json:"turns_long"`

	// Kinds sums up the sources of each kind.
	Kinds map[string]*kind `json:"kinds"`
}

type span struct {
	Count   uint64  `json:"count"`
	P50     float64 `json:"p50_seconds"`
	P99     float64 `json:"p99_seconds"`
	Longest float64 `json:"longest_seconds"`
}

type kind struct {
	Sources int     `json:"sources"`
	Calls   uint64  `json:"callbacks"`
	Read    uint64  `json:"bytes_read"`
	Written uint64  `json:"bytes_written"`
	Queued  int     `json:"bytes_queued"`
	Limits  uint64  `json:"rate_limited"`
	Spent   float64 `json:"seconds"`
	Longest float64 `json:"longest_seconds"`
}

func figuresOf(loop *communicator.Communicator) figures {
	s := loop.Stats()
	f := figures{
		Sources: s.Live, Turns: s.Turns, Callbacks: s.Callbacks, Slow: s.Slow, Posted: s.Posted, Waiting: s.Waiting, Holds: s.Holds,
		Closed: s.Closed, Stale: s.Stale, Looks: s.Looks, Idle: s.Idle.Seconds(), Age: s.Age.Seconds(),
		Lag: spanOf(s.Lag), Busy: spanOf(s.Busy), Kinds: map[string]*kind{},
	}
	for i := range loop.All() {
		k := f.Kinds[Kind(i)]
		if k == nil {
			k = &kind{}
			f.Kinds[Kind(i)] = k
		}
		k.Sources++
		k.Calls += i.Calls
		k.Read += i.Read
		k.Written += i.Written
		k.Queued += i.Queued
		k.Limits += i.Limits
		k.Spent += i.Spent.Seconds()
		k.Longest = max(k.Longest, i.Longest.Seconds())
	}
	return f
}

func spanOf(h communicator.Histogram) span {
	return span{h.Count(), h.Quantile(0.5).Seconds(), h.Quantile(0.99).Seconds(), h.Longest.Seconds()}
}
