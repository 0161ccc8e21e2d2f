//go:build linux

package connection_test

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// keepers is a Dialer of transports that take every byte, as TLS does, and pass on as many as the list
// says; then they fail when they are read.
type keepers struct {
	tb    testing.TB
	list  []int
	dials []*keeping
}

type keeping struct {
	*pieces
	all    int
	unsent []byte
}

func (d *keepers) Dial(loop connection.Loop, done func(connection.Transport, error)) (func(), error) {
	return func() {}, loop.Post(func() {
		k := &keeping{pieces: newPieces(d.tb), all: -1}
		if n := len(d.dials); n < len(d.list) {
			k.all = d.list[n]
			k.room = k.all
		}
		d.dials = append(d.dials, k)
		done(k, nil)
	})
}

func (k *keeping) Read([]byte) (int, error) {
	if k.out.Len() == k.all {
		return 0, errTest
	}
	return 0, connection.ErrWouldBlock
}

func (k *keeping) Write(p []byte) (int, error) {
	if len(k.unsent) > 0 {
		return 0, connection.ErrWouldBlock
	}
	k.unsent = append(k.unsent, p...)
	_ = k.Flush()
	return len(p), nil
}

func (k *keeping) Readable() bool { return false }

func (k *keeping) Unsent() int { return len(k.unsent) }

func (k *keeping) Flush() error {
	n, err := k.pieces.Write(k.unsent)
	k.unsent = k.unsent[n:]
	return err
}

// TestPermanentKeeper: what a transport has taken is in doubt when its connection ends before it has
// passed on all it had: nobody knows how much of it that was. The count begins anew with each connection.
func TestPermanentKeeper(t *testing.T) {
	const line = len("N i=0\n")
	for _, c := range []struct {
		list []int
		away bool // M is sent while away, not while up
		want []string
	}{
		{nil, false, []string{"up", "down <nil>", "closed <nil>"}},
		{[]int{6 * line}, false, []string{"up", "down test", "up", "down <nil>", "closed <nil>"}},
		{[]int{6 * line, 0}, true, []string{
			"up", "down test", "up", "lost M doubt", "lost M doubt", "lost M doubt", "down test", "up", "down <nil>", "closed <nil>",
		}},
		{[]int{3 * line, 2 * line}, false, []string{
			"up", "lost N doubt", "lost N doubt", "lost N doubt", "lost N doubt", "lost N doubt", "lost N doubt", "down test",
			"up", "lost M doubt", "down test", "up", "down <nil>", "closed <nil>",
		}},
	} {
		loop, _ := looptest.New(t)
		d := &keepers{tb: t, list: c.list}
		l := live(t, loop, d, nil, connection.PermanentConfig{
			Backoff: connection.Backoff{First: 1, Max: 1},
			OnUp: func(p *connection.Permanent) error {
				switch {
				case p.Connections() > uint64(len(c.list)):
					p.Close()
				case p.Connections() == 2 && !c.away:
					say(t, p, "M i=0", "M i=1", "M i=2")
				}
				return nil
			},
			OnDown: func(p *connection.Permanent, _ error) {
				if p.Connections() == 1 && c.away {
					say(t, p, "M i=0", "M i=1", "M i=2")
				}
			},
		})
		say(t, l.p, numbered(0, 6)...)
		run(t, loop)
		l.expect(t, c.want...)
	}
}
