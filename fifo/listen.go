//go:build linux

package fifo

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fileowner"
	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// DefaultMode is the mode of a FIFO that Listen makes: only its owner may write to it.
const DefaultMode os.FileMode = 0o600

// DiscardTime is how long a listener throws away what comes after the service itself has ended a
// connection while somebody still had the FIFO open for writing: it could begin in the middle of a
// line.
const DiscardTime = time.Second

// ListenConfig says how to listen. The zero value is right for most.
type ListenConfig struct {
	// Listener is what is common to all transports: name, priority.
	Listener connection.ListenConfig
	// Mode is the mode of the FIFO, whatever the umask; one that is there already gets it too. Zero:
	// DefaultMode, and one that is there stays as it is.
	Mode os.FileMode
	// Owner and Group are the owner and the group of the FIFO, each a name or a number; one that is
	// there already gets them too. Another owner needs privileges; a group that the process is not in,
	// too. The process must stay able to read the FIFO, which is opened again after each connection: one
	// that drops its privileges makes the user that it becomes the owner. Empty: those that the kernel
	// gives a new file.
	Owner, Group string
	// Reply is the path of a second FIFO, for answers; it is made like the first. Whoever wants answers
	// opens it for reading before anything is written to the first. When nobody has it open as a
	// connection begins, or nobody any more, answers are dropped and counted. One who has it open and
	// does not read holds the connection up, and with it the FIFO: StreamConfig.IdleTimeout limits
	// that. Empty: no answers, all that is written is dropped and counted.
	Reply string
}

// Listen reads from a FIFO and has serve put a layer on each connection. A connection begins when
// data is there and ends when the last writer has closed the FIFO; what several write at the same
// time is one connection, and lines of up to 4096 bytes, if each is written at once, do not mix.
// Connections follow each other, each when the stream of the one before has closed; nothing of what
// is written in between is lost. Only what comes after the service has ended a connection itself, by
// Close, Abort or an error, is thrown away: until the last writer has gone, or for DiscardTime.
//
// The transport is a *Reader, or a *Transport when answers can be written. It stays in the listener's
// loop: it can't be given to another. ListenConfig.Listener.MaxConnections can't be set; there is one.
//
// A writer whose last line has no end joins it with what another writes meanwhile. A shell that writes to
// a FIFO from which nobody reads waits: timeout 1 sh -c 'echo STOP > /run/demo.fifo'.
//
// A FIFO that is not there is made, and removed when the listener is closed; one that a crash has left
// behind stays, as one that somebody else has made. One that somebody reads from is ErrInUse, another kind
// of file, also a symbolic link, ErrNotFIFO. To find that somebody, Listen opens the FIFO for writing for a
// moment: who waits there for a writer then reads the end. Use a folder that only the service may write to.
//
// It blocks: the owner and the group are looked up, and of several processes that listen in one folder
// each waits for the others, for a second at most.
func Listen(loop *communicator.Communicator, path string, serve connection.Serve, config ListenConfig) (*connection.Listener, error) {
	a := &acceptor{fd: sys.NoFD, loop: loop, path: Addr(path), reply: config.Reply}
	if err := a.listen(config); err != nil {
		return nil, &net.OpError{Op: "listen", Net: "fifo", Addr: Addr(path), Err: errors.Join(err, a.Close())}
	}
	l, err := connection.NewListener(loop, a, serve, config.Listener)
	if err != nil {
		return nil, err
	}
	a.handle = l.Handle()
	return l, nil
}

// acceptor has the FIFO's descriptor while nobody writes; a connection takes it along and gives it
// back.
//
// Once a writer has come and gone, a descriptor reports a hang-up for ever; one that is opened anew
// doesn't, until the next writer has come and gone (fifo_open and pipe_poll in Linux, fs/pipe.c). So
// after a hang-up the FIFO is opened again, before the old descriptor is closed: a pipe that is open
// keeps its bytes.
type acceptor struct {
	fd      int // none during a connection
	loop    *communicator.Communicator
	handle  *communicator.Handle
	path    Addr
	reply   string
	files   []*file
	discard time.Time // until then what comes is thrown away
	stale   bool      // it has hung up, and couldn't be opened again yet
	short   bool      // of descriptors, when a connection was to begin
	closed  bool

	failures logger.Limited
}

func (a *acceptor) listen(config ListenConfig) error {
	o, err := fileowner.New(config.Mode, config.Owner, config.Group)
	if err != nil {
		return err
	}
	// Of two that begin at the same time each could find the other, or none of them. A folder that can't
	// be locked can't be helped.
	if unlock, err := sys.LockFolder(filepath.Dir(string(a.path))); err == nil {
		defer unlock()
	}
	command, err := makeFile(string(a.path), o)
	if err != nil {
		return err
	}
	a.files = append(a.files, command)
	if config.Reply != "" {
		reply, err := makeFile(config.Reply, o)
		if err != nil {
			return err
		}
		a.files = append(a.files, reply)
	}
	a.fd, err = command.openFirst()
	return err
}

// FD is the descriptor for reading, while there is no connection.
func (a *acceptor) FD() int { return a.fd }

// Addr is the path.
func (a *acceptor) Addr() net.Addr { return a.path }

// Accept begins a connection if data is there.
func (a *acceptor) Accept() (connection.Transport, error) {
	switch {
	case a.fd == sys.NoFD:
		return nil, connection.ErrWouldBlock
	case a.stale:
		return nil, a.renew()
	case a.short: // the listener tries at once what it would have to refuse; here that would be lost
		a.short = false
		return nil, connection.ErrWouldBlock
	case !a.discard.IsZero():
		if time.Now().Before(a.discard) {
			return nil, a.throwAway()
		}
		a.discard = time.Time{}
	}
	events, err := sys.Poll(a.fd)
	switch {
	case err != nil:
		return nil, a.fail(err)
	case events&sys.Readable != 0:
		return a.begin()
	case events&sys.HangUp != 0: // who came has written nothing
		return nil, a.renew()
	}
	return nil, connection.ErrWouldBlock
}

// begin makes a transport, which takes the descriptor along: if the writers have gone already, no
// other would report it. Nor does this one, if they had gone when it was opened and what they wrote
// was still there. So the transport asks until it knows that a writer is there, or none.
func (a *acceptor) begin() (connection.Transport, error) {
	r := Reader{
		label:  label{network: "fifo", local: a.path, remote: a.path},
		in:     end{fd: a.fd},
		home:   a,
		unsure: true,
	}
	out := noEnd
	if a.reply != "" {
		var err error
		out.fd, err = sys.OpenFIFO(a.reply, sys.ForWriting)
		switch {
		case sys.Exhausted(err):
			a.short = true
			return nil, a.fail(err)
		case err != nil && !errors.Is(err, syscall.ENXIO): // commands are served all the same
			a.failures.Log(a.loop.Logger(), slog.LevelWarn, "answers are dropped", "listener", a.handle.Name(), "error", err)
		}
		r.remote = Addr(a.reply)
	}
	a.fd = sys.NoFD
	if err := a.handle.Rebind(); err != nil {
		a.fd = r.in.fd
		return nil, errors.Join(a.fail(err), out.close())
	}
	if out.open() {
		return &Transport{Reader: r, out: out, lossy: true}, nil
	}
	return &r, nil
}

// giveBack ends a connection; ended is whether it has come to its end or was cut off.
func (a *acceptor) giveBack(fd int, ended bool) error {
	if a.closed || !a.handle.Active() {
		return a.fail(sys.Close(fd))
	}
	a.fd = fd
	if ended && a.renew() == connection.ErrWouldBlock { //nolint:errorlint // the sentinel itself: it has worked
		return nil
	}
	if !ended {
		a.discard = time.Now().Add(DiscardTime)
	}
	err := a.handle.Rebind()
	a.handle.MarkReadable()
	return err
}

// renew opens the FIFO again, and watches that instead. All being well it returns ErrWouldBlock.
func (a *acceptor) renew() error {
	a.stale = true
	fd, err := sys.Reopen(a.fd, string(a.path), sys.ForReading)
	if err != nil {
		return a.fail(err)
	}
	old := a.fd
	a.fd, a.stale, a.discard = fd, false, time.Time{}
	if err = errors.Join(a.handle.Rebind(), sys.Close(old)); err != nil {
		return a.fail(err)
	}
	return connection.ErrWouldBlock
}

// throwAway reads what is left of a connection that was cut off.
func (a *acceptor) throwAway() error {
	n, err := sys.Read(a.fd, a.loop.ReadBuffer())
	switch {
	case err != nil:
		return a.fail(err)
	case n == 0:
		return a.renew()
	}
	a.handle.MarkReadable() // that it has ended may not be reported: see begin
	return connection.ErrWouldBlock
}

func (a *acceptor) fail(err error) error {
	if err == nil || err == connection.ErrWouldBlock { //nolint:errorlint // by contract the sentinel itself
		return err
	}
	return &net.OpError{Op: "accept", Net: "fifo", Addr: a.path, Err: err}
}

// Close removes the files, and closes the descriptor if no connection has it.
func (a *acceptor) Close() error {
	a.closed = true
	for _, f := range a.files {
		f.remove()
	}
	if a.fd == sys.NoFD {
		return nil
	}
	fd := a.fd
	a.fd = sys.NoFD
	return sys.Close(fd)
}
