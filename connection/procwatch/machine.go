//go:build linux

package procwatch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

const (
	// defaultBuffer holds some 800 events: the kernel counts more than a kilobyte for each.
	defaultBuffer = 1 << 20
	// machineBatch is how many events are read in one callback.
	machineBatch = 64
	// machineMessage is larger than any message of the kernel's.
	machineMessage = 512
	// maxBefore is how many messages that others have asked for may come before the answer to our subscription.
	maxBefore = 1 << 16
)

// MachineKind is a set of kinds of what the processes of the machine do.
type MachineKind uint32

// What the kernel tells of processes.
const (
	Fork     = MachineKind(sys.ProcFork)     // a new process, a child of Parent
	Exec     = MachineKind(sys.ProcExec)     // it runs another program now
	Exit     = MachineKind(sys.ProcExit)     // its first thread has ended, and mostly all of it: see Machine
	CoreDump = MachineKind(sys.ProcCoreDump) // it begins to dump core
	Comm     = MachineKind(sys.ProcComm)     // it has given itself the name Name
	SetUID   = MachineKind(sys.ProcUID)      // its user is Real and Effective now
	SetGID   = MachineKind(sys.ProcGID)      // its group is Real and Effective now
	SetSID   = MachineKind(sys.ProcSID)      // it has begun a session
	Ptrace   = MachineKind(sys.ProcPtrace)   // Tracer traces it; 0: it is no longer traced
	Lost     = MachineKind(1 << 16)          // events were lost, as the loop was too slow: always told
)

var machineKinds = []struct {
	kind MachineKind
	name string
}{
	{Fork, "fork"}, {Exec, "exec"}, {Exit, "exit"}, {CoreDump, "core dump"}, {Comm, "comm"}, {SetUID, "setuid"},
	{SetGID, "setgid"}, {SetSID, "setsid"}, {Ptrace, "ptrace"}, {Lost, "lost"},
}

// String names the kinds, as "fork", "exec+exit".
func (k MachineKind) String() string {
	var names []string
	for _, m := range machineKinds {
		if k&m.kind != 0 {
			names = append(names, m.name)
			k &^= m.kind
		}
	}
	if k != 0 || names == nil {
		names = append(names, fmt.Sprintf("%#x", uint32(k)))
	}
	return strings.Join(names, "+")
}

// MachineOptions say what is told of the machine's processes. The zero value tells everything of processes, and
// nothing of their threads. Want is not used.
//
// With a Rate each look into the kernel's buffer is an event, also one that finds nothing which is told.
type MachineOptions struct {
	communicator.Options
	// Kinds are what is told; zero: all. Since Linux 6.6 the kernel itself leaves out the others.
	Kinds MachineKind
	// Threads lets also the threads be told of that are not the first of their process: TID is not PID then.
	Threads bool
	// Buffer is how many bytes of events the kernel keeps for a loop that is busy; one counts as more than a
	// kilobyte. Zero: 1 MiB. No more than 1 GiB, and without CAP_NET_ADMIN than net.core.rmem_max.
	Buffer int
}

// MachineEvent is what a process of the machine has done. Fields that mean nothing for the kind are 0.
type MachineEvent struct {
	Kind   MachineKind
	PID    int // the process; of Lost 0
	TID    int // the thread; that of a process's first is PID
	Parent int // of Fork, Exit and CoreDump: the parent process; of Exit and CoreDump 0 where the kernel doesn't tell
	// Code is the exit status of a process that has exited, -1 for every other kind and for one that was killed.
	Code       int
	Signal     syscall.Signal // of Exit: what has killed it; 0 if it has exited
	CoreDumped bool           // of Exit
	Name       string         // of Comm: 15 bytes at most
	Real       int            // of SetUID and SetGID: the number of the user or group
	Effective  int            // the same, effective
	Tracer     int            // of Ptrace
	CPU        int            // where it happened
	Time       time.Duration  // when, on the kernel's monotonic clock, which begins with the machine
}

// MachineWatch watches the processes of the machine. It belongs to the loop's goroutine.
type MachineWatch struct {
	handle  *communicator.Handle
	handler func(MachineEvent) error
	kinds   MachineKind
	threads bool
	fd      int
	lost    bool         // events were lost, and Lost is still to be told
	kept    MachineEvent // read and not told yet, if its kind is not 0
	message [machineMessage]byte
}

// Machine tells of all processes of the machine: f is called on the loop's goroutine for each event, in the order
// in which the kernel reports them, up to 64 in one callback. f may close the watch. An error from f ends the watch
// with that cause. The watch keeps Run from returning.
//
// By the time of the call the process may be gone and its number somebody else's. When the loop is too slow for the
// kernel's buffer f gets Lost, behind what the buffer still held: whoever keeps a table of processes has to make it
// anew from /proc, and what happens from then on is told again.
//
// Exit is the end of a process's first thread. Others may go on, and if one of them runs another program (execve) the
// process does so under the same number: an Exec follows, and later another Exit.
//
// It takes CAP_NET_ADMIN before Linux 6.6, and a process in the initial network, PID and user namespaces: if not, a
// *PermissionError says which. A kernel that has no such events is ErrNoProcEvents. When Machine returns the kernel
// has confirmed that it reports.
func Machine(loop *communicator.Communicator, f func(MachineEvent) error, o MachineOptions) (*MachineWatch, error) {
	if f == nil {
		panic("procwatch: nil function")
	}
	if o.Buffer <= 0 {
		o.Buffer = defaultBuffer
	}
	fd, err := sys.OpenProcEvents(max(o.Buffer, defaultBuffer)) // the answer must not be lost among events of others
	if err != nil {
		return nil, machineError(err)
	}
	m := &MachineWatch{handler: f, kinds: o.Kinds &^ Lost, threads: o.Threads, fd: fd}
	if err := m.subscribe(); err != nil {
		_ = sys.Close(fd)
		return nil, machineError(err)
	}
	if o.Buffer < defaultBuffer {
		sys.BufferProcEvents(fd, o.Buffer)
	}
	if m.kinds == 0 {
		m.kinds = ^MachineKind(0)
	}
	o.Want = communicator.Read
	if m.handle, err = loop.Add((*machineSource)(m), o.Options); err != nil {
		_ = (*machineSource)(m).Close()
		return nil, err
	}
	if m.lost {
		m.handle.MarkReadable()
	}
	return m, nil
}

// Handle is the watch's place in its loop.
func (m *MachineWatch) Handle() *communicator.Handle { return m.handle }

// Close takes the watch out of the loop: f is not called any more, and the kernel stops to report.
func (m *MachineWatch) Close() { m.handle.Remove(nil) }

// machineError says what the kernel means.
func machineError(err error) error {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return &PermissionError{Missing: "the capability CAP_NET_ADMIN"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &PermissionError{Missing: "the initial network namespace"}
	case errors.Is(err, syscall.EPROTONOSUPPORT):
		return ErrNoProcEvents
	}
	return err
}

// errNoAnswer is what the kernel answers when it says nothing.
var errNoAnswer = errors.New("procwatch: no answer from the kernel")

// subscribe asks for the events. A kernel that doesn't know the request with kinds doesn't answer it.
func (m *MachineWatch) subscribe() error {
	if m.kinds != 0 {
		if err := m.ask(sys.ProcKind(m.kinds)); err == nil || !errors.Is(err, errNoAnswer) {
			return err
		}
	}
	err := m.ask(0)
	if !errors.Is(err, errNoAnswer) {
		return err
	}
	// It doesn't answer a process of another namespace. The initial ones have fixed numbers
	// (PROC_USER_INIT_INO and PROC_PID_INIT_INO in the kernel's sources).
	for _, ns := range []struct{ file, initial, name string }{
		{"/proc/self/ns/user", "user:[4026531837]", "user"},
		{"/proc/self/ns/pid", "pid:[4026531836]", "PID"},
	} {
		if is, err := os.Readlink(ns.file); err == nil && is != ns.initial {
			return &PermissionError{Missing: "the initial " + ns.name + " namespace"}
		}
	}
	return ErrNoProcEvents
}

// ask subscribes, and reads the answer. The kernel has put it into the socket before the request returns
// (netlink messages to it have been synchronous since Linux 2.6.39), so nothing has to be waited for.
func (m *MachineWatch) ask(kinds sys.ProcKind) error {
	token := rand.Uint32() // all listeners get all answers
	if err := sys.SubscribeProcEvents(m.fd, kinds, token); err != nil {
		return err
	}
	noAnswer := errNoAnswer
	for range maxBefore {
		e, err := m.receive()
		switch {
		case errors.Is(err, sys.ErrWouldBlock):
			return noAnswer
		case errors.Is(err, syscall.ENOBUFS):
			noAnswer, m.lost = err, true // it may be among what was lost
		case errors.Is(err, sys.ErrNotProcEvent):
		case err != nil:
			return err
		case e.Kind == sys.ProcAck && e.Token == token && e.Answer == 0:
			return nil
		case e.Kind == sys.ProcAck && e.Token == token:
			return fmt.Errorf("procwatch: the kernel refuses process events: %w", e.Answer)
		}
	}
	return noAnswer
}

// receive reads one event of the kernel; sys.ErrNotProcEvent for anything else.
func (m *MachineWatch) receive() (sys.ProcEvent, error) {
	n, kernel, err := sys.RecvProcEvent(m.fd, m.message[:])
	if err != nil {
		return sys.ProcEvent{}, err
	}
	if !kernel {
		return sys.ProcEvent{}, sys.ErrNotProcEvent
	}
	return sys.ParseProcEvent(m.message[:n])
}

// next is the next event to tell; the kind is 0 if the one that was read is none.
func (m *MachineWatch) next() (MachineEvent, error) {
	if e := m.kept; e.Kind != 0 {
		m.kept = MachineEvent{}
		return e, nil
	}
	lost := MachineEvent{Kind: Lost, Code: -1}
	p, err := m.receive()
	switch {
	case errors.Is(err, syscall.ENOBUFS):
		// From now on the kernel drops all that happens, and doesn't say so again, until what it has kept has been
		// read; so Lost is told then. If it does say so again, this was the case in between.
		before := m.lost
		if m.lost = true; before {
			return lost, nil
		}
		return MachineEvent{}, nil
	case errors.Is(err, sys.ErrWouldBlock) && m.lost:
		m.lost = false
		return lost, nil
	case errors.Is(err, sys.ErrNotProcEvent):
		return MachineEvent{}, nil
	case err != nil:
		return MachineEvent{}, err
	case m.kinds&MachineKind(p.Kind) == 0, p.TID != p.PID && !m.threads:
		return MachineEvent{}, nil
	}
	e := MachineEvent{Kind: MachineKind(p.Kind), PID: p.PID, TID: p.TID, Code: -1, Name: p.Name, CPU: p.CPU, Time: p.Time}
	switch e.Kind {
	case Fork, CoreDump:
		e.Parent = p.OtherPID
	case Exit:
		e.Parent = p.OtherPID
		if p.Status.Signaled() {
			e.Signal, e.CoreDumped = p.Status.Signal(), p.Status.CoreDump()
		} else {
			e.Code = p.Status.ExitStatus()
		}
	case SetUID, SetGID:
		e.Real, e.Effective = int(p.ID), int(p.EID)
	case Ptrace:
		e.Tracer = p.OtherPID
	case Exec, Comm, SetSID:
	default:
		return MachineEvent{}, nil // a kind of a later kernel
	}
	return e, nil
}

// machineSource is a MachineWatch as the loop sees it.
type machineSource MachineWatch

func (s *machineSource) FD() int { return s.fd }

func (s *machineSource) String() string { return "processes of the machine" }

func (s *machineSource) HandleRead(h *communicator.Handle) error {
	m := (*MachineWatch)(s)
	told := false
	for range machineBatch {
		e, err := m.next()
		if errors.Is(err, sys.ErrWouldBlock) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Kind == 0 {
			continue
		}
		if told && !h.Continue() {
			m.kept = e
			h.MarkReadable()
			return nil
		}
		if err := m.handler(e); err != nil {
			return err
		}
		told = true
	}
	if m.lost { // there may be nothing left that the kernel announces
		h.MarkReadable()
	}
	return nil
}

func (s *machineSource) Close() error {
	return errors.Join(sys.UnsubscribeProcEvents(s.fd), sys.Close(s.fd))
}
