package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what should be there at once.
const patience = 10 * time.Second

// terminal is a program on a terminal of its own.
type terminal struct {
	t    *testing.T
	dir  string
	file *os.File // the terminal's other side
	cmd  *exec.Cmd
	seen string // what was printed and is not consumed yet
}

// openTerminal starts a program on a terminal, in a folder. Without /dev/ptmx the test is skipped.
func openTerminal(t *testing.T, dir string, env []string, name string, args ...string) *terminal {
	t.Helper()
	file, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	if controlErr := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err != nil {
			return
		}
		if err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}); err != nil {
			return
		}
		number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	}); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = slave.Close() }()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "TERM=dumb", "LC_ALL=C.UTF-8", "HOME="+dir, "HISTFILE="), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	if err := file.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &terminal{t: t, dir: dir, file: file, cmd: cmd}
}

// expect waits for a text, and returns what came before it.
func (term *terminal) expect(text string) (before string) {
	term.t.Helper()
	for {
		if before, after, found := strings.Cut(term.seen, text); found {
			term.seen = after
			return before
		}
		buffer := make([]byte, 4096)
		n, err := term.file.Read(buffer)
		if term.seen += string(buffer[:n]); n == 0 && err != nil {
			term.t.Fatalf("%v, waiting for %q, having read %q", err, text, term.seen)
		}
	}
}

// send types a text.
func (term *terminal) send(text string) {
	term.t.Helper()
	if _, err := term.file.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

// wait waits for the program's end, of which the terminal tells with an error.
func (term *terminal) wait() {
	term.t.Helper()
	buffer := make([]byte, 4096)
	for {
		if _, err := term.file.Read(buffer); os.IsTimeout(err) {
			term.t.Fatal(err)
		} else if err != nil {
			break
		}
	}
	if err := term.cmd.Wait(); err != nil {
		term.t.Error(err)
	}
}
