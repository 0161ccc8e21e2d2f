package message_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestHandlerFunc(t *testing.T) {
	failure := errors.New("failure")
	request, peer := message.New("PING"), new(fakeSender)
	var h message.Handler = message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		if from != peer || m != request {
			t.Errorf("called with %v, %v", from, m)
		}
		return failure
	})
	if err := h.HandleMessage(peer, request); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// fakeSender notes in log what is sent, and fails if err is set.
type fakeSender struct {
	name string
	err  error
	log  *[]string
}

func (s *fakeSender) Send(m *message.Message) error {
	*s.log = append(*s.log, s.name+" "+m.String())
	return s.err
}

func TestBroadcast(t *testing.T) {
	closed, full := errors.New("closed"), errors.New("full")
	tests := []struct {
		name string
		errs []error // of the senders
		sent int
	}{
		{"none", nil, 0},
		{"one", []error{nil}, 1},
		{"all", []error{nil, nil, nil}, 3},
		{"some fail", []error{closed, nil, full, nil}, 2},
		{"all fail", []error{closed, full}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log, want []string
			var senders []*fakeSender
			for i, err := range tt.errs {
				name := string(rune('a' + i))
				senders = append(senders, &fakeSender{name, err, &log})
				want = append(want, name+" PING x=1")
			}
			sent, err := message.Broadcast(message.New("PING").Set("x", "1"), slices.Values(senders))
			if sent != tt.sent || !slices.Equal(log, want) {
				t.Errorf("%d sent, to %q, want %d, to %q", sent, log, tt.sent, want)
			}
			if (err == nil) != (tt.sent == len(tt.errs)) {
				t.Errorf("got %v", err)
			}
			for _, one := range []error{closed, full} {
				if slices.Contains(tt.errs, one) != errors.Is(err, one) {
					t.Errorf("%v: got %v", one, err)
				}
			}
			if err != nil && strings.Count(err.Error(), "\n") != len(tt.errs)-tt.sent-1 {
				t.Errorf("got %q, want one line for each failure", err)
			}
		})
	}
}

// TestBroadcastOfWhatCanNotBeWritten: nobody is asked, and there is one error however many there are.
func TestBroadcastOfWhatCanNotBeWritten(t *testing.T) {
	for _, tt := range []struct {
		m    *message.Message
		want error
	}{
		{message.New("bad"), message.ErrName},
		{new(message.Message), message.ErrName},
		{message.New("PING").Set("a", "\x00\xff"), message.ErrUnsendable},
		{message.New("PING").SetUnixAddr("a", nil), message.ErrValue},
	} {
		var log []string
		senders := []message.Sender{&fakeSender{"a", nil, &log}, &fakeSender{"b", nil, &log}}
		sent, err := message.Broadcast(tt.m, slices.Values(senders))
		var several interface{ Unwrap() []error }
		if sent != 0 || len(log) != 0 || !errors.Is(err, tt.want) || errors.As(err, &several) {
			t.Errorf("%v: %d sent, to %q, %v, want %v", tt.m, sent, log, err, tt.want)
		}
	}
}

// TestBroadcastToAMap: any sequence of any senders will do.
func TestBroadcastToAMap(t *testing.T) {
	var log []string
	peers := map[string]message.Sender{"x": &fakeSender{"x", nil, &log}, "y": &fakeSender{"y", nil, &log}}
	sent, err := message.Broadcast(message.New("PING"), maps.Values(peers))
	slices.Sort(log)
	if sent != 2 || err != nil || !slices.Equal(log, []string{"x PING", "y PING"}) {
		t.Errorf("%d sent, %v, %q", sent, err, log)
	}
}

// TestBroadcastToMany: of many that fail the first ten are told, and who is nobody is left out.
func TestBroadcastToMany(t *testing.T) {
	failure := errors.New("failure")
	closed := senderFunc(func(*message.Message) error { return failure })
	senders := []message.Sender{nil, (*fakeSender)(nil), senderFunc(func(*message.Message) error { return nil })}
	for range 1000 {
		senders = append(senders, closed)
	}
	sent, err := message.Broadcast(message.New("STOP"), slices.Values(senders))
	if lines := strings.Split(err.Error(), "\n"); sent != 1 || len(lines) != 10 || lines[0] != "sender 3: failure" || !errors.Is(err, failure) {
		t.Errorf("sent %d, %q", sent, lines)
	}
}

type senderFunc func(m *message.Message) error

func (f senderFunc) Send(m *message.Message) error { return f(m) }
