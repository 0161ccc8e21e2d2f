package communicator_test

import (
	"context"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
)

type tick struct {
	n int
	t *testing.T
}

func (*tick) FD() int { return communicator.NoFD }
func (s *tick) HandleTimeout(h *communicator.Handle) error {
	s.n++
	if s.n == 10 {
		h.Remove(nil)
		return nil
	}
	h.SetDeadline(time.Now().Add(time.Millisecond))
	return nil
}
func (s *tick) HandleClose(h *communicator.Handle, cause error) { s.t.Log("closed", cause) }

func TestSmoke(t *testing.T) {
	c, err := communicator.New(communicator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &tick{t: t}
	if _, err := c.Add(s, communicator.Options{Deadline: time.Now()}); err != nil {
		t.Fatal(err)
	}
	go func() {
		t.Log(c.Do(context.Background(), func() error { t.Log(c.Sources(), c.Stats()); return nil }))
	}()
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s.n != 10 {
		t.Fatal(s.n)
	}
}
