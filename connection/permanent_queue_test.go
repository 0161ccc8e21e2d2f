//go:build linux

package connection_test

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// closeAfter lets the Permanent close when the peers have got a line.
func closeAfter(d *pairs, l **life, last string) {
	d.serve = func(p *peer) {
		p.line = func(line string) {
			if line == last {
				(*l).p.Close()
			}
		}
	}
}

// TestPermanentQueueLimits: while away, by count and by bytes. What was refused is not sent.
func TestPermanentQueueLimits(t *testing.T) {
	for name, config := range map[string]connection.PermanentConfig{
		"count": {MaxQueued: 3},
		"bytes": {MaxQueuedBytes: 3 * len("N i=0\n")},
		"less":  {MaxQueuedBytes: 4*len("N i=0\n") - 1},
	} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t}
		var l *life
		closeAfter(d, &l, "LAST")
		config.OnUp = func(p *connection.Permanent) error {
			say(t, p, "LAST") // there is room again
			return nil
		}
		l = live(t, loop, d, nil, config)
		say(t, l.p, numbered(0, 3)...)
		for range 2 {
			if err := l.p.Send(message.New("N").SetInt("i", 3)); !errors.Is(err, connection.ErrQueueFull) {
				t.Errorf("%s: Send: %v", name, err)
			}
		}
		if waiting, _ := l.p.Queued(); waiting != 3 {
			t.Errorf("%s: %d wait", name, waiting)
		}
		run(t, loop)
		if want := append(numbered(0, 3), "LAST"); !slices.Equal(d.lines(), want) {
			t.Errorf("%s: the peer got %q", name, d.lines())
		}
	}
}

// TestPermanentStuckPeer: the limits hold while up, with a peer that doesn't read, and there is room again
// when it does.
func TestPermanentStuckPeer(t *testing.T) {
	const size = 20_000
	for name, c := range map[string]struct {
		config connection.PermanentConfig
		taken  int
	}{
		"count": {connection.PermanentConfig{MaxQueued: 5}, 5},
		"bytes": {connection.PermanentConfig{MaxQueuedBytes: 3*size + 1}, 3},
	} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t, room: 1}
		var l *life
		d.serve = func(p *peer) {
			p.Pause()
			p.line = func(line string) {
				if line == "LAST" {
					l.p.Close()
				}
			}
		}
		config := c.config
		config.OnUp = func(p *connection.Permanent) error {
			taken := 0
			for p.Send(large("LARGE", size)) == nil {
				taken++
			}
			if taken != c.taken {
				t.Errorf("%s: %d were taken, want %d", name, taken, c.taken)
			}
			if err := p.Send(large("LARGE", size)); !errors.Is(err, connection.ErrQueueFull) {
				t.Errorf("%s: Send: %v", name, err)
			}
			if waiting, inFlight := p.Queued(); waiting != taken-1 || inFlight != 1 {
				t.Errorf("%s: %d wait, %d in flight", name, waiting, inFlight)
			}
			d.peers[0].Resume()
			return nil
		}
		config.Message.Drained = func(*connection.MessageConn) error {
			if waiting, inFlight := l.p.Queued(); waiting == 0 && inFlight == 0 {
				say(t, l.p, "LAST")
			}
			return nil
		}
		l = live(t, loop, d, nil, config)
		run(t, loop)
		if got := len(d.lines()); got != c.taken+1 {
			t.Errorf("%s: the peer got %d lines", name, got)
		}
		l.expect(t, "up", "down <nil>", "closed <nil>")
	}
}

// TestPermanentExpires: by default or its own validity, while away, in order and once.
func TestPermanentExpires(t *testing.T) {
	loop, log := looptest.New(t)
	d := &pairs{tb: t, fail: func(int) error { return errTest }}
	lost := 0
	l := live(t, loop, d, nil, connection.PermanentConfig{
		Backoff: connection.Backoff{First: time.Hour}, Validity: 10 * time.Millisecond,
		Undelivered: func(p *connection.Permanent, m *message.Message, err error) {
			if m.Get("i") == "" {
				t.Errorf("reported %v without its parameter", m)
			}
			if lost++; lost == 3 {
				p.Abort(nil)
			}
		},
	})
	say(t, l.p, "DEFAULT i=1")
	for _, c := range []struct {
		command  string
		validity time.Duration
	}{{"LATER", 30 * time.Millisecond}, {"EVER", 0}, {"SOON", 1}} {
		if err := l.p.SendWithin(message.New(c.command).SetInt("i", 1), c.validity); err != nil {
			t.Fatal(err)
		}
	}
	run(t, loop)
	l.expect(t, "lost SOON expired", "failed test", "lost DEFAULT expired", "lost LATER expired", "lost EVER ErrClosed", "closed <nil>")
	if records := log.Records(); len(records) != 0 {
		t.Errorf("logged %q", records)
	}
	if turns := loop.Stats().Turns; turns > 50 {
		t.Errorf("%d turns: the loop did not sleep", turns)
	}
}

// TestPermanentExpiresAgain: what was cut off by the end of a connection waits again, and no longer than it is valid.
func TestPermanentExpiresAgain(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, room: 1, serve: func(p *peer) { p.Pause() }}
	l := live(t, loop, d, nil, connection.PermanentConfig{
		Backoff: connection.Backoff{First: time.Hour},
		OnUp: func(p *connection.Permanent) error {
			if err := p.SendWithin(large("LARGE", 50_000), 10*time.Millisecond); err != nil {
				t.Error(err)
			}
			d.peers[0].reset()
			return nil
		},
		Undelivered: func(p *connection.Permanent, _ *message.Message, _ error) { p.Close() },
	})
	run(t, loop)
	l.expect(t, "up", "down reset", "lost LARGE expired", "closed <nil>")
}

// TestPermanentExpiresStuck: what waits behind a peer that doesn't read expires; what was sent never does,
// though its time has passed before the peer reads it.
func TestPermanentExpiresStuck(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, room: 1}
	var l *life
	d.serve = func(p *peer) {
		p.Pause()
		p.line = func(line string) {
			if line == "STAYS" {
				l.p.Close()
			}
		}
	}
	within := func(m *message.Message, validity time.Duration) {
		if err := l.p.SendWithin(m, validity); err != nil {
			t.Error(err)
		}
	}
	l = live(t, loop, d, nil, connection.PermanentConfig{
		OnUp: func(*connection.Permanent) error {
			within(large("SENT", 100), 1)    // the kernel takes it
			within(large("HALF", 20_000), 1) // and a part of it
			within(message.New("EXPIRES"), 10*time.Millisecond)
			within(message.New("STAYS"), 0)
			return nil
		},
		Undelivered: func(*connection.Permanent, *message.Message, error) { d.peers[0].Resume() },
	})
	run(t, loop)
	l.expect(t, "up", "lost EXPIRES expired", "down <nil>", "closed <nil>")
	if got := commands(d.lines()); !slices.Equal(got, []string{"SENT", "HALF", "STAYS"}) {
		t.Errorf("the peer got %q", got)
	}
}

func commands(lines []string) (all []string) {
	for _, line := range lines {
		command, _, _ := strings.Cut(line, " ")
		all = append(all, command)
	}
	return all
}

// TestPermanentExpiresAtOnce: what has expired is not sent by the connection that comes at the same time.
func TestPermanentExpiresAtOnce(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	var l *life
	closeAfter(d, &l, "STAYS")
	d.fail = func(int) error { // in the same callback in which the connection stands
		if err := l.p.SendWithin(message.New("EXPIRES"), 1); err != nil {
			t.Error(err)
		}
		say(t, l.p, "STAYS")
		return nil
	}
	l = live(t, loop, d, nil, connection.PermanentConfig{})
	run(t, loop)
	l.expect(t, "lost EXPIRES expired", "up", "down <nil>", "closed <nil>")
	if d.text(1) != "STAYS\n" {
		t.Errorf("the peer got %q", d.text(1))
	}
}

// TestPermanentUndeliveredLogged: without Undelivered the log has it, once a second at most.
func TestPermanentUndeliveredLogged(t *testing.T) {
	loop, log := looptest.New(t)
	p, err := connection.NewPermanent(loop, blackHoleDialer{}, nobody, connection.PermanentConfig{Name: "keeper"})
	if err != nil {
		t.Fatal(err)
	}
	say(t, p, "WAITS i=1", "WAITS i=2")
	loop.Stop(nil)
	run(t, loop)
	if found := log.Containing("a message was not delivered"); len(found) != 1 || !strings.Contains(found[0], "command=WAITS") || !strings.Contains(found[0], "connection=keeper") {
		t.Errorf("logged %q", log.Records())
	}
}

// TestPermanentUnsendable: what can't be sent is refused at once, in every state, and does no harm.
func TestPermanentUnsendable(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t}
	var l *life
	closeAfter(d, &l, "GOOD")
	refused := func() {
		var messageError *message.Error
		if err := l.p.Send(message.New("not a name")); !errors.As(err, &messageError) {
			t.Errorf("Send of a message without a name: %v", err)
		}
		if err := l.p.Send(large("LONG", 1001)); !errors.Is(err, connection.ErrOutputLimit) {
			t.Errorf("Send of a long message: %v", err)
		}
		if waiting, inFlight := l.p.Queued(); waiting+inFlight != 0 {
			t.Errorf("%d wait, %d in flight", waiting, inFlight)
		}
	}
	l = live(t, loop, d, nil, connection.PermanentConfig{
		Message: connection.MessageConfig{Stream: connection.StreamConfig{MaxOutput: 1000}},
		OnUp: func(p *connection.Permanent) error {
			refused()
			if err := p.Send(large("LONG", 1000)); err != nil {
				t.Error(err)
			}
			say(t, p, "GOOD")
			return nil
		},
	})
	refused()
	run(t, loop)
	l.expect(t, "up", "down <nil>", "closed <nil>")
}

// TestPermanentSmallOutput: a queue that is longer than MaxOutput goes out, though the peer is slow.
func TestPermanentSmallOutput(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, room: 1}
	var l *life
	closeAfter(d, &l, "LAST")
	l = live(t, loop, d, nil, connection.PermanentConfig{
		Message: connection.MessageConfig{Stream: connection.StreamConfig{MaxOutput: 1000}},
	})
	for range 200 {
		if err := l.p.Send(large("FULL", 1000)); err != nil {
			t.Fatal(err)
		}
	}
	say(t, l.p, "LAST")
	run(t, loop)
	l.expect(t, "up", "down <nil>", "closed <nil>")
	if n := len(d.lines()); n != 201 {
		t.Errorf("the peer got %d lines", n)
	}
}

// TestPermanentKeepsCopies: a message can be changed after Send, whatever becomes of it.
func TestPermanentKeepsCopies(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, room: 1}
	var l *life
	d.serve = func(p *peer) {
		p.Pause()
		p.line = func(line string) {
			if line == "N i=9" {
				l.p.Close()
			}
		}
	}
	m := message.New("N")
	send := func(from, to int) {
		for i := from; i < to; i++ {
			if err := l.p.Send(m.SetInt("i", int64(i))); err != nil {
				t.Error(err)
			}
		}
		m.SetInt("i", 1000)
	}
	l = live(t, loop, d, nil, connection.PermanentConfig{
		OnUp: func(p *connection.Permanent) error {
			send(3, 6)
			if err := p.Send(large("STUCK", 20_000)); err != nil {
				t.Error(err)
			}
			send(6, 10)
			d.peers[0].Resume()
			return nil
		},
	})
	send(0, 3)
	run(t, loop)
	got := slices.DeleteFunc(d.lines(), func(line string) bool { return strings.HasPrefix(line, "STUCK") })
	if !slices.Equal(got, numbered(0, 10)) {
		t.Errorf("the peer got %q", got)
	}
}

// TestPermanentKeepsCopiesInFlight: what was cut off is sent again as it was, though the message was changed meanwhile.
func TestPermanentKeepsCopiesInFlight(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, room: 1}
	var l *life
	d.serve = func(p *peer) {
		if p.number == 1 {
			p.Pause()
		} else {
			p.line = func(string) { l.p.Close() }
		}
	}
	m := large("FIRST", 50_000)
	l = live(t, loop, d, nil, connection.PermanentConfig{Backoff: again, OnUp: func(p *connection.Permanent) error {
		if p.Connections() > 1 {
			return nil
		}
		if err := p.Send(m); err != nil {
			t.Error(err)
		}
		m.Set("v", "changed")
		d.peers[0].reset()
		return nil
	}})
	run(t, loop)
	if got := len(d.text(2)); got != 50_000 {
		t.Errorf("the second peer got %d bytes", got)
	}
}

// TestPermanentThousands: a long queue goes out in order, in few writes, and its memory is given back,
// whether the peer is fast or slow.
func TestPermanentThousands(t *testing.T) {
	const count, size = 5000, 1000
	for _, room := range []int{0, 16 << 10} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t, room: room}
		var l *life
		var before, after uint64
		next := 0
		d.serve = func(p *peer) {
			p.line = func(string) {
				if next++; next == count {
					_ = loop.Post(func() { after = heap(); l.p.Close() })
				}
				p.got.Next(p.read)
				p.read = 0
			}
		}
		l = live(t, loop, d, nil, connection.PermanentConfig{MaxQueued: count, MaxQueuedBytes: count * size})
		before = heap()
		for range count {
			if err := l.p.Send(large("N", size)); err != nil {
				t.Fatal(err)
			}
		}
		if held := heap() - before; held < count*size {
			t.Errorf("only %d bytes of memory are held", held)
		}
		run(t, loop)
		if next != count {
			t.Errorf("the peer got %d lines", next)
		}
		if after > before+count*size/4 {
			t.Errorf("room %d: %d bytes of memory before, %d after", room, before, after)
		}
	}
}

// TestPermanentGivesBack: a long message is forgotten when the kernel has it, at once or bit by bit,
// though nothing else happens.
func TestPermanentGivesBack(t *testing.T) {
	for _, c := range []struct{ size, room int }{
		{60_000, 1 << 20}, // collected with others, and written at once
		{300_000, 16 << 10},
	} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t, room: c.room}
		var l *life
		var after uint64
		d.serve = func(p *peer) {
			p.line = func(string) {
				_ = loop.Post(func() {
					p.got = bytes.Buffer{}
					p.read = 0
					after = heap()
					l.p.Close()
				})
			}
		}
		loop.WriteBuffer() // these stay
		loop.ReadBuffer()
		before := heap()
		l = live(t, loop, d, nil, connection.PermanentConfig{})
		if err := l.p.Send(large("N", c.size)); err != nil {
			t.Fatal(err)
		}
		run(t, loop)
		if after > before+uint64(c.size)/2 {
			t.Errorf("%d bytes: %d bytes of memory before, %d after", c.size, before, after)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
