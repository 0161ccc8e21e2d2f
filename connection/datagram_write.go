//go:build linux

package connection

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

var _ io.Writer = (*Datagram)(nil)

// Outgoing is a datagram to be sent.
type Outgoing struct {
	Data []byte
	// To is whom it is for. Zero: whom the socket is connected to.
	To Peer
}

// destination is the last address that was written to.
type destination struct {
	peer Peer
	addr sys.Sockaddr
}

// Write sends a datagram to whom the socket is connected to, all of p or nothing. Otherwise it is
// as WriteTo; on a socket that isn't connected the error is EDESTADDRREQ.
func (d *Datagram) Write(p []byte) (int, error) {
	if err := d.WriteTo(p, Peer{}); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteTo sends a datagram. It never waits: with the socket's buffer full, or that of a Unix peer,
// it returns an error for which errors.Is(err, ErrWouldBlock) holds, and the datagram is not sent.
// The error is EDESTADDRREQ for nobody, EISCONN on a socket that is connected to somebody else,
// EMSGSIZE for a datagram that is too long, ErrEmptyPacket for one without a byte on a packet socket,
// ErrClosed after the end, and a *net.AddrError for a zone that names no interface. See also DatagramConfig.BatchWrites.
func (d *Datagram) WriteTo(data []byte, to Peer) error {
	addr, err := d.address(data, to)
	if err != nil {
		return err
	}
	if d.corked {
		if len(data) <= pendingBytes {
			d.enqueue(data, addr)
			return nil
		}
		d.flush() // the order stays
	}
	return d.outcome(sys.SendTo(d.socket.FD(), data, addr), to)
}

// WriteFiles is WriteTo with descriptors that go along, no more than MaxDescriptors: see
// Datagram.Descriptors for those that come. The files stay the caller's; for one that is closed the error
// is os.ErrClosed. With more under way than RLIMIT_NOFILE allows, over all sockets of this user, it is
// ETOOMANYREFS. It is for Unix sockets and never waits for others with BatchWrites.
func (d *Datagram) WriteFiles(data []byte, to Peer, files ...*os.File) error {
	addr, err := d.address(data, to)
	if err != nil {
		return err
	}
	d.flush()
	fds := make([]int, 0, len(files))
	defer func() { sys.CloseAll(fds) }()
	for _, f := range files {
		fd, err := dupFile(f)
		if err != nil {
			return d.outcome(err, to)
		}
		fds = append(fds, fd)
	}
	_, err = sys.SendMsg(d.socket.FD(), data, addr, fds)
	return d.outcome(err, to)
}

// dupFile duplicates a file's descriptor.
func dupFile(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return sys.NoFD, err
	}
	if raw.Control(func(orig uintptr) { fd, err = sys.Dup(int(orig)) }) != nil {
		err = &os.PathError{Op: "dup", Path: f.Name(), Err: os.ErrClosed} // the one reason, for which package os has no public error here
	}
	return fd, err
}

// WriteBatch sends several datagrams, to one or many peers, with one call for up to 64. It sends
// them in order and ends with the first that fails: sent is how many went, and the error, as of
// WriteTo, that of the next. It returns it even with BatchWrites.
func (d *Datagram) WriteBatch(batch []Outgoing) (sent int, err error) {
	d.flush()
	p := d.box()
	for sent < len(batch) {
		n := 0
		for _, o := range batch[sent:min(sent+sys.SendBatch, len(batch))] {
			var addr *sys.Sockaddr
			if addr, err = d.address(o.Data, o.To); err != nil {
				break
			}
			p.box.Set(n, o.Data, addr)
			n++
		}
		done, sendErr := d.sendSet(n)
		p.box.Forget(n)
		sent += done
		if sendErr != nil {
			return sent, d.outcome(sendErr, batch[sent].To)
		}
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// sendSet sends the first n datagrams of the box, up to one that fails.
func (d *Datagram) sendSet(n int) (done int, err error) {
	for done < n {
		k, err := d.pending.box.Send(d.socket.FD(), done, n)
		if err != nil {
			return done, err
		}
		done += k
		d.sent += uint64(k)
	}
	return done, nil
}

// address is where a datagram is sent to; nil on a socket that is connected.
func (d *Datagram) address(data []byte, to Peer) (addr *sys.Sockaddr, err error) {
	switch {
	case !d.handle.Active():
		return nil, d.writeError(ErrClosed, to)
	case d.network == networkPackets && len(data) == 0:
		return nil, d.writeError(ErrEmptyPacket, to)
	case d.connected && (to == Peer{} || to == d.remote):
		return nil, nil
	case d.connected:
		err = syscall.EISCONN
	case !to.unix && !to.addr.IsValid(), to.unix && to.path == "":
		err = syscall.EDESTADDRREQ
	case to.unix != (d.network == networkUnix):
		err = syscall.EAFNOSUPPORT
	case d.from.addr != nil && to == d.from.peer:
		return d.from.addr, nil // an answer: the address is there as the kernel had it
	case to == d.to.peer:
		return &d.to.addr, nil
	default:
		if to.unix {
			err = d.to.addr.SetPath(to.path)
		} else {
			err = d.to.addr.SetAddrPort(to.addr)
		}
		d.to.peer = to
		if err == nil {
			return &d.to.addr, nil
		}
		d.to.peer = Peer{}
		return nil, d.writeError(err, to)
	}
	return nil, d.writeError(os.NewSyscallError("sendto", err), to)
}

// outcome counts a datagram that was sent, or says why it wasn't.
func (d *Datagram) outcome(err error, to Peer) error {
	if err == nil {
		d.sent++
		return nil
	}
	return d.writeError(err, to)
}

func (d *Datagram) writeError(err error, to Peer) error {
	if d.connected {
		to = d.remote
	}
	return &net.OpError{Op: "write", Net: d.network, Source: d.source(), Addr: to.netAddr(d.network), Err: err}
}

// source is the socket's own address for errors; nil when it is closed, as the descriptor may be.
func (d *Datagram) source() net.Addr {
	if !d.handle.Active() {
		return nil
	}
	return d.Addr()
}

// pendingBytes is how many bytes BatchWrites lets wait.
const pendingBytes = communicator.BufferSize

// pendingDatagrams wait for the end of a callback.
type pendingDatagrams struct {
	box sys.Outbox
	buf []byte
	n   int
}

func (d *Datagram) box() *pendingDatagrams {
	if d.pending == nil {
		d.pending = &pendingDatagrams{}
	}
	return d.pending
}

// enqueue lets a datagram wait, which is no longer than pendingBytes.
func (d *Datagram) enqueue(data []byte, addr *sys.Sockaddr) {
	p := d.box()
	if p.buf == nil {
		p.buf = make([]byte, 0, pendingBytes)
	}
	if p.n == sys.SendBatch || len(p.buf)+len(data) > cap(p.buf) {
		d.flush()
	}
	from := len(p.buf)
	p.buf = append(p.buf, data...)
	p.box.Set(p.n, p.buf[from:], addr)
	p.n++
}

// flush sends what waits. What the kernel refuses is dropped.
func (d *Datagram) flush() {
	p := d.pending
	if p == nil || p.n == 0 {
		return
	}
	for at := 0; at < p.n; {
		k, err := p.box.Send(d.socket.FD(), at, p.n)
		at += k
		d.sent += uint64(k)
		switch {
		case err == nil:
		case d.network == networkUDP && errors.Is(err, ErrWouldBlock):
			d.drop(p.n-at, err) // it is the socket's buffer that is full, not that of a peer
			at = p.n
		default:
			d.drop(1, err)
			at++
		}
	}
	p.box.Forget(p.n)
	p.n, p.buf = 0, p.buf[:0]
}

func (d *Datagram) drop(n int, err error) {
	d.dropped += uint64(n)
	d.drops.Log(d.handle.Loop().Logger(), slog.LevelWarn, "datagrams were not sent",
		"socket", d.handle, "dropped", d.dropped, "error", err)
}
