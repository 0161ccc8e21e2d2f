//go:build linux

package sys_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// procMessage is a message of the connector with the data of an event.
func procMessage(kind sys.ProcKind, data ...uint32) []byte {
	p := words([]uint32{uint32(unix.SizeofNlMsghdr + 20 + 16 + 4*len(data)), unix.NLMSG_DONE, 9, 0, 1, 1, 5, 78}, nil)
	p = binary.NativeEndian.AppendUint16(p, uint16(16+4*len(data)))
	p = binary.NativeEndian.AppendUint16(p, 0)
	p = words([]uint32{uint32(kind), 3}, p)
	p = binary.NativeEndian.AppendUint64(p, 5e9)
	return words(data, p)
}

func words(list []uint32, p []byte) []byte {
	for _, w := range list {
		p = binary.NativeEndian.AppendUint32(p, w)
	}
	return p
}

// name is the words of a text.
func name(text string) (list []uint32) {
	p := append([]byte(text), make([]byte, 16)...)
	for i := range 4 {
		list = append(list, binary.NativeEndian.Uint32(p[4*i:]))
	}
	return list
}

func TestParseProcEvent(t *testing.T) {
	for _, c := range []struct {
		kind sys.ProcKind
		data []uint32
		want sys.ProcEvent
	}{
		{sys.ProcAck, []uint32{1, 0, 0, 0, 0, 0}, sys.ProcEvent{Answer: syscall.EPERM, Token: 77}},
		{sys.ProcFork, []uint32{10, 11, 12, 13, 0, 0}, sys.ProcEvent{OtherTID: 10, OtherPID: 11, TID: 12, PID: 13}},
		{sys.ProcExec, []uint32{10, 11, 0, 0, 0, 0}, sys.ProcEvent{TID: 10, PID: 11}},
		{sys.ProcUID, []uint32{10, 11, 12, 13, 0, 0}, sys.ProcEvent{TID: 10, PID: 11, ID: 12, EID: 13}},
		{sys.ProcGID, []uint32{10, 11, 12, 13, 0, 0}, sys.ProcEvent{TID: 10, PID: 11, ID: 12, EID: 13}},
		{sys.ProcSID, []uint32{10, 11}, sys.ProcEvent{TID: 10, PID: 11}},
		{sys.ProcPtrace, []uint32{10, 11, 0, 0}, sys.ProcEvent{TID: 10, PID: 11}},
		{sys.ProcPtrace, []uint32{10, 11, 12, 13}, sys.ProcEvent{TID: 10, PID: 11, OtherTID: 12, OtherPID: 13}},
		{sys.ProcComm, append([]uint32{10, 11}, name("a name")...), sys.ProcEvent{TID: 10, PID: 11, Name: "a name"}},
		{sys.ProcComm, append([]uint32{10, 11}, name("sixteen bytes it")...), sys.ProcEvent{TID: 10, PID: 11, Name: "sixteen bytes it"}},
		{sys.ProcCoreDump, []uint32{10, 11, 12, 13, 0, 0}, sys.ProcEvent{TID: 10, PID: 11, OtherTID: 12, OtherPID: 13}},
		{sys.ProcExit, []uint32{10, 11, 3 << 8, 17, 12, 13}, sys.ProcEvent{TID: 10, PID: 11, Status: 3 << 8, OtherTID: 12, OtherPID: 13}},
		{sys.ProcExit, []uint32{10, 11, 0x8b, 17}, sys.ProcEvent{TID: 10, PID: 11, Status: 0x8b}}, // before Linux 4.18
		{0x10, []uint32{10, 11, 12, 13, 14, 15, 16, 17, 18}, sys.ProcEvent{}},                     // not known yet
	} {
		c.want.Kind, c.want.CPU, c.want.Time = c.kind, 3, 5*time.Second
		message := procMessage(c.kind, c.data...)
		got, err := sys.ParseProcEvent(message)
		if err != nil || got != c.want {
			t.Errorf("kind %#x: got %+v, %v, want %+v", c.kind, got, err, c.want)
		}
		// What follows the message means nothing, and a message that is cut is none.
		if again, err := sys.ParseProcEvent(append(bytes.Clone(message), 1, 2, 3)); err != nil || again != got {
			t.Errorf("kind %#x with more behind it: %+v, %v", c.kind, again, err)
		}
		for n := range message {
			if _, err := sys.ParseProcEvent(message[:n]); !errors.Is(err, sys.ErrNotProcEvent) {
				t.Errorf("kind %#x cut after %d bytes: %v", c.kind, n, err)
			}
		}
	}
	for what, change := range map[string]func(p []byte){
		"another connector":         func(p []byte) { p[16]++ },
		"another value":             func(p []byte) { p[20]++ },
		"a header alone":            func(p []byte) { binary.NativeEndian.PutUint32(p, 16) },
		"an event that is too long": func(p []byte) { binary.NativeEndian.PutUint16(p[32:], 41) },
		"an event without data":     func(p []byte) { binary.NativeEndian.PutUint16(p[32:], 16) },
		"no event":                  func(p []byte) { binary.NativeEndian.PutUint16(p[32:], 0) },
	} {
		p := procMessage(sys.ProcExec, 10, 11, 0, 0, 0, 0)
		change(p)
		if e, err := sys.ParseProcEvent(p); !errors.Is(err, sys.ErrNotProcEvent) {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
}

func FuzzParseProcEvent(f *testing.F) {
	for _, kind := range []sys.ProcKind{sys.ProcAck, sys.ProcFork, sys.ProcUID, sys.ProcPtrace, sys.ProcComm, sys.ProcExit, 0x10} {
		f.Add(procMessage(kind, 10, 11, 12, 13, 14, 15))
		f.Add(procMessage(kind, 10, 11))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		before := bytes.Clone(p)
		e, err := sys.ParseProcEvent(p)
		if err != nil && e != (sys.ProcEvent{}) && !errors.Is(err, sys.ErrNotProcEvent) {
			t.Errorf("%+v with %v", e, err)
		}
		if len(p) < 52 && err == nil {
			t.Errorf("%d bytes are %+v", len(p), e)
		}
		if len(e.Name) > 16 || e.Name != "" && e.Kind != sys.ProcComm {
			t.Errorf("%+v", e)
		}
		if !bytes.Equal(p, before) {
			t.Error("the bytes were changed")
		}
		// Nothing behind the end that the message gives itself is looked at.
		if again, errAgain := sys.ParseProcEvent(append(bytes.Clone(p), 0xff)); err == nil && (again != e || errAgain != nil) {
			t.Errorf("%+v, with more behind it %+v, %v", e, again, errAgain)
		}
	})
}

// receive reads what is there; the kernel has put it there before what made it returned.
func receive(t *testing.T, fd int, f func(sys.ProcEvent)) {
	t.Helper()
	var p [512]byte
	for {
		n, kernel, err := sys.RecvProcEvent(fd, p[:])
		if errors.Is(err, sys.ErrWouldBlock) {
			return
		}
		if err != nil || !kernel {
			t.Fatalf("RecvProcEvent: %v, from the kernel %v", err, kernel)
		}
		e, err := sys.ParseProcEvent(p[:n])
		if err != nil {
			t.Fatalf("% x: %v", p[:n], err)
		}
		f(e)
	}
}

// TestProcEvents subscribes to exec events alone, and unsubscribes.
func TestProcEvents(t *testing.T) {
	fdtest.Check(t)
	fd, err := sys.OpenProcEvents(64 << 20)
	if err != nil {
		t.Skipf("no process events here: %v", err)
	}
	defer func() { _ = sys.Close(fd) }()
	if err := sys.SubscribeProcEvents(fd, sys.ProcExec, 1234567); err != nil {
		t.Skipf("no process events here: %v", err)
	}
	answered := 0
	receive(t, fd, func(e sys.ProcEvent) {
		if e.Kind == sys.ProcAck && e.Token == 1234567 && e.Answer == 0 {
			answered++
		}
	})
	if answered == 0 {
		t.Skip("a kernel before Linux 6.6, or not the initial namespaces")
	}
	for _, subscribed := range []bool{true, false} {
		c := exec.Command("true")
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		told := 0
		receive(t, fd, func(e sys.ProcEvent) {
			if e.Kind != sys.ProcExec && e.Kind != sys.ProcAck {
				t.Errorf("got %+v", e)
			}
			if e.PID == c.Process.Pid {
				told++
			}
		})
		if (told == 1) != subscribed {
			t.Errorf("subscribed: %v, told %d times", subscribed, told)
		}
		if err := sys.UnsubscribeProcEvents(fd); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProcess(t *testing.T) {
	fdtest.Check(t)
	c := exec.Command("sh", "-c", "kill -STOP $$; exit 3")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := sys.OpenProcess(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sys.Close(fd) }()
	await := func(what string, look func() (bool, error)) {
		for end := time.Now().Add(10 * time.Second); ; {
			if found, err := look(); err != nil {
				t.Fatalf("%s: %v", what, err)
			} else if found {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: waited in vain", what)
			}
		}
	}
	await("stop", func() (bool, error) { return sys.PeekStop(fd) })
	if state, err := sys.PeekChild(fd, true); state != sys.ChildStopped || err != nil {
		t.Errorf("PeekChild: %v, %v", state, err)
	}
	if state, err := sys.PeekChild(fd, false); state != sys.ChildSame || err != nil {
		t.Errorf("PeekChild without stops: %v, %v", state, err)
	}
	if state, sig, err := sys.TakeStop(fd); state != sys.ChildStopped || sig != syscall.SIGSTOP || err != nil {
		t.Errorf("TakeStop: %v, %v, %v", state, sig, err)
	}
	if state, sig, err := sys.TakeStop(fd); state != sys.ChildSame || sig != 0 || err != nil {
		t.Errorf("TakeStop again: %v, %v, %v", state, sig, err)
	}
	if err := sys.SignalProcess(fd, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	await("end", func() (bool, error) {
		state, err := sys.PeekChild(fd, false)
		return state == sys.ChildEnded, err
	})
	if state, err := sys.PeekChildPID(c.Process.Pid); state != sys.ChildEnded || err != nil {
		t.Errorf("PeekChildPID: %v, %v", state, err)
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 3 {
		t.Errorf("Wait: %v", err)
	}
	if state, err := sys.PeekChild(fd, true); state != sys.ChildSame || !errors.Is(err, syscall.ECHILD) {
		t.Errorf("PeekChild after Wait: %v, %v", state, err)
	}
	if state, err := sys.PeekChildPID(c.Process.Pid); state != sys.ChildSame || !errors.Is(err, syscall.ECHILD) {
		t.Errorf("PeekChildPID after Wait: %v, %v", state, err)
	}
	if err := sys.SignalProcess(fd, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("SignalProcess after Wait: %v", err)
	}
}
