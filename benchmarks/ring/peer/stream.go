package main

import (
	"bytes"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
)

func (n network) streams() kind {
	return kind{
		serve: func(o *options) error {
			h := &streamServer{options: o}
			return o.serveOn(func(loop connection.Loop) (*connection.Listener, error) {
				return n.listen(o, loop, connection.Streams(h, connection.StreamConfig{}))
			}, func() counts {
				c := counts{"served": int64(h.served)}
				n.add(c, h.transport)
				return c
			})
		},
		measure: func(o *options, m *meter) error {
			h := &streamClient{options: o, meter: m, pieces: pieces{content: *newContent(o), meter: m}}
			err := measureOn(func(loop connection.Loop) error {
				_, err := connection.DialStream(loop, n.dialer(o), h, connection.StreamConfig{})
				return err
			})
			n.add(m.own, h.transport)
			return err
		},
	}
}

// streamServer sends back what comes, or messages without end.
type streamServer struct {
	*options
	served    uint64
	transport connection.Transport
	producer  *producer
}

func (h *streamServer) HandleOpen(s *connection.Stream) error {
	h.transport = s.Transport()
	if !h.flow {
		return nil
	}
	c := newContent(h.options)
	var err error
	h.producer, err = newProducer(s.Loop(), h.size, func() bool {
		if s.QueuedBytes() > 0 {
			return false
		}
		_, err := s.Write(c.message()) // an error closes the stream, so nothing says that there is room again
		h.served = c.next
		return err == nil
	})
	return err
}

func (h *streamServer) HandleDrain(*connection.Stream) error {
	if h.producer != nil {
		h.producer.room()
	}
	return nil
}

func (h *streamServer) HandleData(s *connection.Stream, data []byte) (int, error) {
	n := 0
	for ; len(data)-n >= h.size; n += h.size {
		h.served++
		if _, err := s.Write(h.spoiled(data[n:n+h.size], h.served)); err != nil {
			return n, err
		}
	}
	return n, nil
}

// HandleClose is silent: a client goes when it has measured.
func (h *streamServer) HandleClose(*connection.Stream, error) {}

type streamClient struct {
	*options
	*meter
	pieces
	transport connection.Transport
	sent      time.Duration
}

func (h *streamClient) HandleOpen(s *connection.Stream) error {
	h.transport = s.Transport()
	if h.flow {
		return nil
	}
	return h.ping(s)
}

func (h *streamClient) ping(s *connection.Stream) error {
	message := h.message()
	h.sent = h.now()
	_, err := s.Write(message)
	return err
}

func (h *streamClient) HandleData(s *connection.Stream, data []byte) (int, error) {
	if h.flow {
		n, more, err := h.take(data)
		if err == nil && !more {
			s.Loop().Stop(nil)
		}
		return n, err
	}
	if len(data) < h.size {
		return 0, nil
	}
	now := h.now()
	if !bytes.Equal(data, h.bytes) {
		return 0, errBytes
	}
	if !h.answered(h.sent, now) {
		s.Loop().Stop(nil)
		return len(data), nil
	}
	return len(data), h.ping(s)
}

func (h *streamClient) HandleClose(s *connection.Stream, cause error) {
	if cause == nil {
		cause = errClosed
	}
	s.Loop().Stop(cause)
}
