package main

import (
	"fmt"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/store"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// What all text messages have in common; package store has the rest. In a flow the server sends the requests.
const (
	request = "FETCH_USER"
	reply   = "USER"
	city    = "Berlin"
	session = "a81f5c"

	firstID = 1_000_000_000 // so that all numbers have the same length

	// textSize is about the length of a message, for the producer's bursts.
	textSize = 96
)

// newRequest makes the request that is sent again and again, each time with another id.
func newRequest() *message.Message {
	return message.New(request).SetSentFromServer("web1").SetSentFromService("frontend").SetServer("db1").SetService("store").
		Set("city", city).Set("lang", "de").Set("limit", "10").Set("session", session)
}

// texts is the text language with a dispatcher on both sides.
func (n network) texts() kind {
	return kind{
		serve: func(o *options) error {
			h := &textServer{options: o}
			return o.serveOn(func(loop connection.Loop) (*connection.Listener, error) {
				mux := dispatcher.New(dispatcher.Config{})
				mux.HandleFunc(request, h.fetchUser)
				if err := mux.AddDefaults(dispatcher.Service{Name: "store"}); err != nil {
					return nil, err
				}
				return n.listen(o, loop, connection.Messages(mux, h.config()))
			}, func() counts {
				c := counts{"served": int64(h.served)}
				n.add(c, h.transport)
				return c
			})
		},
		measure: func(o *options, m *meter) error {
			h := &textClient{options: o, meter: m, message: newRequest(), sent: make([]time.Duration, o.depth)}
			mux := dispatcher.New(dispatcher.Config{})
			mux.HandleFunc(reply, h.answer)
			mux.HandleFunc(request, h.passed)
			err := measureOn(func(loop connection.Loop) error {
				_, err := connection.DialMessages(loop, n.dialer(o), mux, connection.MessageConfig{Opened: h.opened, Closed: h.closed})
				return err
			})
			n.add(m.own, h.transport)
			return err
		},
	}
}

// textServer answers requests, or sends some without end.
type textServer struct {
	*options
	served    uint64
	transport connection.Transport
	producer  *producer
}

func (h *textServer) config() connection.MessageConfig {
	return connection.MessageConfig{
		Opened: func(c *connection.MessageConn) error {
			h.transport = c.Stream().Transport()
			if h.flow {
				return h.produce(c)
			}
			return nil
		},
		Drained: func(*connection.MessageConn) error {
			if h.producer != nil {
				h.producer.room()
			}
			return nil
		},
		Closed: func(*connection.MessageConn, error) {}, // a client goes when it has measured
	}
}

func (h *textServer) produce(c *connection.MessageConn) (err error) {
	m := newRequest()
	h.producer, err = newProducer(c.Stream().Loop(), textSize, func() bool {
		if c.Stream().QueuedBytes() > 0 {
			return false
		}
		id := firstID + h.served
		h.served++
		if h.served == h.spoil {
			id++
		}
		return c.Send(m.SetUint("id", id)) == nil // an error closes the stream, so nothing says that there is room again
	})
	return err
}

func (h *textServer) fetchUser(from message.Sender, m *message.Message) error {
	if m.Get("lang") == "" || m.Get("limit") == "" {
		return from.Send(m.ReplyInvalid(store.ErrMissing.Error()))
	}
	id := m.Get("id")
	h.served++
	if h.served == h.spoil {
		id += "1"
	}
	return from.Send(m.Reply(reply).
		Set("city", m.Get("city")).
		Set("email", store.Email).
		Set("id", id).
		Set("name", store.Name).
		Set("session", m.Get("session")))
}

// textClient keeps some requests in flight, or takes what comes.
type textClient struct {
	*options
	meter          *meter
	message        *message.Message
	conn           *connection.MessageConn
	transport      connection.Transport
	asked, replied uint64
	sent           []time.Duration // of the requests in flight
	over           bool
}

func (h *textClient) opened(c *connection.MessageConn) error {
	h.conn, h.transport = c, c.Stream().Transport()
	if h.flow {
		return nil
	}
	for range h.depth {
		if err := h.ask(); err != nil {
			return err
		}
	}
	return nil
}

func (h *textClient) ask() error {
	h.message.SetUint("id", firstID+h.asked)
	h.sent[h.asked%uint64(h.depth)] = h.meter.now()
	h.asked++
	return h.conn.Send(h.message)
}

// answer takes a reply; they come in the order of the requests.
func (h *textClient) answer(_ message.Sender, m *message.Message) error {
	now := h.meter.now()
	if err := h.number(m); err != nil {
		return h.fail(err)
	}
	if m.Get("city") != city || m.Get("email") != store.Email || m.Get("name") != store.Name || m.Get("session") != session {
		return h.fail(errBytes)
	}
	more := h.meter.answered(h.sent[(h.replied-1)%uint64(h.depth)], now)
	switch {
	case more:
		return h.ask()
	case h.replied == h.asked: // every request was answered
		h.conn.Stream().Loop().Stop(nil)
	}
	return nil
}

// passed takes a message of a flow.
func (h *textClient) passed(_ message.Sender, m *message.Message) error {
	if h.over {
		return nil // the rest of what was read together
	}
	if err := h.number(m); err != nil {
		return h.fail(err)
	}
	if m.Get("city") != city || m.Get("lang") != "de" || m.Get("limit") != "10" || m.Get("session") != session {
		return h.fail(errBytes)
	}
	if !h.meter.passed() {
		h.over = true
		h.conn.Stream().Loop().Stop(nil)
	}
	return nil
}

// number checks that the next number has come.
func (h *textClient) number(m *message.Message) error {
	id, err := message.GetInt[uint64](m, "id")
	if err != nil {
		return fmt.Errorf("%w: %w", errBytes, err)
	}
	if id != firstID+h.replied {
		return errMissing
	}
	h.replied++
	return nil
}

// fail ends the client. An error of a getter would only refuse the message.
func (h *textClient) fail(err error) error {
	h.conn.Stream().Loop().Stop(err)
	return nil
}

func (h *textClient) closed(c *connection.MessageConn, cause error) {
	if cause == nil {
		cause = errClosed
	}
	c.Stream().Loop().Stop(cause)
}
