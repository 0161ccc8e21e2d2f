//go:build linux

package connection

import (
	"errors"
	"log/slog"
	"net"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// datagramSource is a Datagram as the loop sees it.
type datagramSource Datagram

func (src *datagramSource) FD() int { return src.socket.FD() }

func (src *datagramSource) String() string {
	d := (*Datagram)(src)
	if d.network != networkUDP && d.connected {
		if name := d.remote.Path(); name != "" {
			return d.network + " " + name
		}
	}
	return d.network + " " + d.Addr().String()
}

func (src *datagramSource) Close() error {
	d := (*Datagram)(src)
	for d.next < d.got { // that were received and are not handed over: their descriptors
		d.fds, _ = d.in.Descriptors(d.next, d.fds)
		d.next++
	}
	d.closeDescriptors()
	d.in, d.buf, d.pending = nil, nil, nil
	if d.config.Descriptors > 0 && d.network != networkUDP {
		sys.DiscardUnread(d.socket.FD())
	}
	return d.socket.Close()
}

func (src *datagramSource) HandleClose(h *communicator.Handle, cause error) {
	if src.config.Closed != nil {
		src.config.Closed((*Datagram)(src), cause)
	} else {
		logFailure(h, slog.LevelWarn, "a datagram socket failed", cause)
	}
}

// maxDatagrams is how many datagrams are taken in one callback, and no more than a buffer's worth
// of bytes.
const maxDatagrams = 64

func (src *datagramSource) HandleRead(h *communicator.Handle) error {
	d := (*Datagram)(src)
	d.corked = d.config.BatchWrites
	var err error
	if d.network == networkPackets {
		err = d.readPackets(h)
	} else {
		err = d.readBatches(h)
	}
	d.corked = false
	d.flush()
	d.from.addr, d.from.peer = nil, Peer{}
	return err
}

// readBatches hands over what is left of the last batch, and takes others. Of a socket that was
// disabled meanwhile the rest waits until the loop calls again.
func (d *Datagram) readBatches(h *communicator.Handle) error {
	bytes := 0
	for range maxDatagrams {
		if d.next == d.got {
			if 0 < d.got && d.got < sys.ReceiveBatch {
				d.got, d.next = 0, 0
				return nil // there were no more
			}
			if done, err := d.receive(h); done || err != nil {
				return err
			}
		}
		i := d.next
		d.next++
		n, err := d.handOver(i)
		if err != nil {
			return err
		}
		if bytes += n; bytes >= communicator.BufferSize || !h.Enabled() {
			break
		}
	}
	if d.next == d.got {
		d.next, d.got = 0, 0
	} else {
		h.MarkReadable()
	}
	return nil
}

// receive takes a batch. It tells whether there was none.
func (d *Datagram) receive(h *communicator.Handle) (done bool, err error) {
	if d.in == nil {
		d.in = sys.NewBatch(d.config.MaxSize, d.config.Descriptors)
	}
	d.next, d.got = 0, 0
	n, err := d.in.Receive(d.socket.FD())
	if err != nil {
		return true, d.readError(h, err)
	}
	d.got = n
	return false, nil
}

// handOver hands the handler a datagram of the batch, and returns how long it was.
func (d *Datagram) handOver(i int) (n int, err error) {
	d.received++
	data, cut := d.in.Datagram(i)
	if d.config.Descriptors > 0 {
		var lost bool
		d.fds, lost = d.in.Descriptors(i, d.fds)
		cut = cut || lost
	}
	d.from.addr = d.in.From(i)
	d.from.peer = d.sender(d.from.addr)
	return len(data), d.deliver(data, cut)
}

// deliver calls the handler, unless something of the datagram is missing.
func (d *Datagram) deliver(data []byte, cut bool) (err error) {
	if cut {
		d.truncated++
	} else {
		err = d.handler.HandleDatagram(d, data, d.from.peer)
	}
	d.closeDescriptors()
	return err
}

// readPackets reads one by one, into the loop's buffer: there may be many connections, and an idle
// one owns no buffer.
func (d *Datagram) readPackets(h *communicator.Handle) error {
	buf := h.Loop().ReadBuffer()
	if d.config.MaxSize > len(buf) {
		if d.buf == nil {
			d.buf = make([]byte, d.config.MaxSize)
		}
		buf = d.buf
	}
	buf = buf[:d.config.MaxSize]
	if d.room == nil && d.config.Descriptors > 0 {
		d.room = make([]int, d.config.Descriptors)
	}
	d.from.peer = d.remote
	bytes := 0
	for range maxDatagrams {
		n, nfds, cut, err := sys.RecvMsg(d.socket.FD(), buf, nil, d.room)
		switch {
		case errors.Is(err, sys.ErrDescriptors):
			cut = cut || d.config.Descriptors > 0 // else the kernel has closed what nobody wants
		case errors.Is(err, syscall.ECONNRESET): // it is reported before the packets that have come
			d.reset = d.opError(err)
			continue
		case d.reset != nil && errors.Is(err, ErrWouldBlock):
			return d.reset
		case err != nil:
			return d.readError(h, err)
		}
		d.fds = append(d.fds, d.room[:nfds]...)
		if n == 0 && nfds == 0 && !cut {
			h.Remove(d.reset)
			return nil
		}
		d.received++
		if err := d.deliver(buf[:n:n], cut); err != nil {
			return err
		}
		if bytes += n; bytes >= communicator.BufferSize || !h.Enabled() {
			return nil
		}
	}
	return nil
}

// readError is what an error of the kernel means for the socket.
func (d *Datagram) readError(h *communicator.Handle, err error) error {
	if errors.Is(err, ErrWouldBlock) {
		return nil
	}
	err = d.opError(err)
	if !passing(err) && (d.network != networkUDP || !passingUDP(err)) {
		return err
	}
	d.failed++
	if d.config.Failed != nil {
		d.config.Failed(d, err)
	}
	return nil
}

func (d *Datagram) opError(err error) error {
	return &net.OpError{Op: "read", Net: d.network, Source: d.source(), Err: err}
}

// passing tells whether an error is about one datagram, or a shortage, rather than about the
// socket.
func passing(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.Is(err, syscall.EHOSTDOWN) || errors.Is(err, syscall.ENETDOWN) || errors.Is(err, syscall.EMSGSIZE) ||
		errors.Is(err, syscall.EPROTO) || outOfMemory(err)
}

// passingUDP tells it of what else a router or the host, or whoever forges a packet of theirs, can say to
// a connected socket: icmp_err_convert and icmpv6_err_convert in Linux, and EPERM of a packet filter.
func passingUDP(err error) bool {
	return errors.Is(err, syscall.ENOPROTOOPT) || errors.Is(err, syscall.ENONET) || errors.Is(err, syscall.EACCES) ||
		errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EPERM)
}
