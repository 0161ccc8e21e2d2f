//go:build linux

package connection_test

import (
	"io"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestResumeWhileDialling: what steers the reading may be called before the connection stands, and holds when it does.
func TestResumeWhileDialling(t *testing.T) {
	fdtest.Check(t)
	for name, c := range map[string]struct {
		steer func(s *connection.Stream)
		reads bool
	}{
		"paused and resumed":   {func(s *connection.Stream) { s.Pause(); s.Resume() }, true},
		"paused":               {(*connection.Stream).Pause, false},
		"marked":               {func(s *connection.Stream) { s.Handle().MarkReadable() }, true},
		"disabled and enabled": {func(s *connection.Stream) { s.Handle().SetEnabled(false); s.Handle().SetEnabled(true) }, true},
	} {
		loop, _ := looptest.New(t)
		d := &pairs{tb: t, serve: func(p *peer) {
			_, _ = io.WriteString(p, "welcome")
			p.CloseWrite()
		}}
		var got string
		opened := false
		h := &handler{
			open: func(s *connection.Stream) error {
				opened = true
				if !c.reads {
					s.Close()
				}
				return nil
			},
			data: func(_ *connection.Stream, data []byte) (int, error) {
				got += string(data)
				return len(data), nil
			},
		}
		s, err := connection.DialStream(loop, d, h, connection.StreamConfig{})
		if err != nil {
			t.Fatal(err)
		}
		c.steer(s)
		run(t, loop)
		if want := map[bool]string{true: "welcome"}[c.reads]; !opened || got != want {
			t.Errorf("%s: opened %v, got %q, want %q", name, opened, got, want)
		}
	}
}

// TestResumeOfFailedDial: it may also be called when nothing comes of it.
func TestResumeOfFailedDial(t *testing.T) {
	loop, _ := looptest.New(t)
	d := &pairs{tb: t, fail: func(int) error { return errTest }}
	var told []string
	s, err := connection.DialStream(loop, d, &handler{close: func(s *connection.Stream, cause error) {
		told = append(told, short(cause))
		s.Pause()
		s.Resume()
	}}, connection.StreamConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s.Pause()
	s.Resume()
	run(t, loop)
	if len(told) != 1 || told[0] != "test" {
		t.Errorf("ended with %q", told)
	}
}
