package main

import (
	"bytes"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
)

// shm is the ring, with nothing tuned but Spin, if that is asked for.
func shm() network {
	return network{
		listen: func(o *options, loop connection.Loop, serve connection.Serve) (*connection.Listener, error) {
			return shmconn.Listen(loop, o.path, serve, shmconn.ListenConfig{Ring: shmconn.Config{Spin: o.spin}})
		},
		dialer: func(o *options) connection.Dialer {
			return shmconn.Dialer{Path: o.path, Ring: shmconn.Config{Spin: o.spin}}
		},
		count: countRing,
	}
}

func countRing(c counts, t connection.Transport) {
	ring, ok := t.(*shmconn.Transport)
	if !ok {
		return
	}
	s := ring.Stats()
	c["bells"] += int64(s.Bells)
	c["sleeps"] += int64(s.Sleeps)
	c["full"] += int64(s.Full)
	c["spins"] += int64(s.Spins)
	c["spin_hits"] += int64(s.SpinHits)
}

// records is the ring as records, which a producer writes and a consumer reads where they lie.
func (n network) records() kind {
	return kind{
		serve: func(o *options) error {
			h := &recordServer{options: o}
			return o.serveOn(func(loop connection.Loop) (*connection.Listener, error) {
				return n.listen(o, loop, shmconn.Records(h, shmconn.RecordConfig{}))
			}, func() counts {
				c := counts{"served": int64(h.served)}
				if h.transport != nil {
					n.count(c, h.transport)
				}
				return c
			})
		},
		measure: func(o *options, m *meter) error {
			h := &recordClient{options: o, meter: m, content: newContent(o)}
			err := measureOn(func(loop connection.Loop) error {
				_, err := shmconn.DialRecords(loop, n.dialer(o), h, shmconn.RecordConfig{})
				return err
			})
			if h.transport != nil {
				n.count(m.own, h.transport)
			}
			return err
		},
	}
}

// recordServer sends back what comes, or records without end.
type recordServer struct {
	*options
	served    uint64
	transport *shmconn.Transport
	producer  *producer
}

func (h *recordServer) HandleOpen(c *shmconn.RecordConn) error {
	h.transport = c.Transport()
	if !h.flow {
		return nil
	}
	out := newContent(h.options)
	var err error
	h.producer, err = newProducer(c.Loop(), h.size, func() bool {
		room, err := c.Reserve(h.size)
		if err != nil {
			return false // ErrFull, or the connection has closed
		}
		copy(room, out.message())
		if h.served++; h.served%uint64(h.batch) != 0 {
			return c.Stage(h.size) == nil
		}
		return c.Commit(h.size) == nil
	})
	return err
}

func (h *recordServer) HandleRoom(*shmconn.RecordConn) error {
	if h.producer != nil {
		h.producer.room()
	}
	return nil
}

func (h *recordServer) HandleRecords(c *shmconn.RecordConn) error {
	return shmconn.RecordFunc(h.echo).HandleRecords(c)
}

func (h *recordServer) echo(c *shmconn.RecordConn, record []byte) error {
	room, err := c.Reserve(len(record))
	if err != nil {
		return err
	}
	copy(room, record)
	h.served++
	h.spoiled(room, h.served)
	return c.Commit(len(record))
}

// HandleClose is silent: a client goes when it has measured.
func (h *recordServer) HandleClose(*shmconn.RecordConn, error) {}

type recordClient struct {
	*options
	*meter
	*content
	transport *shmconn.Transport
	sent      time.Duration
	done      bool
}

func (h *recordClient) HandleOpen(c *shmconn.RecordConn) error {
	h.transport = c.Transport()
	if h.flow {
		return nil
	}
	return h.ping(c)
}

func (h *recordClient) ping(c *shmconn.RecordConn) error {
	message := h.message()
	h.sent = h.now()
	room, err := c.Reserve(len(message))
	if err != nil {
		return err
	}
	copy(room, message)
	return c.Commit(len(message))
}

func (h *recordClient) HandleRecords(c *shmconn.RecordConn) error {
	return shmconn.RecordFunc(h.record).HandleRecords(c)
}

func (h *recordClient) record(c *shmconn.RecordConn, record []byte) error {
	if h.done {
		return nil // the rest of what was read together
	}
	if h.flow {
		err := h.check(record)
		if err == nil && !h.passed() {
			h.stop(c)
		}
		return err
	}
	now := h.now()
	if !bytes.Equal(record, h.bytes) {
		return errBytes
	}
	if !h.answered(h.sent, now) {
		h.stop(c)
		return nil
	}
	return h.ping(c)
}

func (h *recordClient) stop(c *shmconn.RecordConn) {
	h.done = true
	c.Loop().Stop(nil)
}

func (h *recordClient) HandleClose(c *shmconn.RecordConn, cause error) {
	if cause == nil {
		cause = errClosed
	}
	c.Loop().Stop(cause)
}
