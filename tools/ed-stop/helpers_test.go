//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

const (
	// roleVariable makes of the test's program the process that is to be stopped.
	roleVariable = "ED_STOP_TEST_ROLE"
	// fakeVariable is the folder of the systemctl that the test's program is under that name.
	fakeVariable = "ED_STOP_TEST_FAKE"
	// patience is how long a test waits for what has to happen.
	patience = 20 * time.Second
	// mark is a signal that is delivered after those that ed-stop sends, as the lowest number is first.
	mark = syscall.SIGWINCH
)

func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == "systemctl":
		fakeSystemctl(os.Getenv(fakeVariable), os.Args[1:])
	case os.Getenv(roleVariable) != "":
		victim(os.Args[1:])
	}
	fdtest.Main(m)
}

// victim prints which signals it gets, and ends after one of those that are named. With "heir" as its first argument it
// starts another of its name before. Those that are named with a dash in front it ignores. It ends as well when its
// standard input does, or when the test ends.
func victim(ends []string) {
	heir := len(ends) > 0 && ends[0] == "heir"
	got := make(chan os.Signal, 100)
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGCONT,
		mark)
	for _, name := range ends {
		if name, ignored := strings.CutPrefix(name, "-"); ignored {
			signal.Ignore(signals[name])
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("ready")
	for sig := range got {
		name := strings.TrimPrefix(signalName(sig.(syscall.Signal)), "SIG")
		fmt.Println(name)
		if !slices.Contains(ends, name) {
			continue
		}
		if heir {
			next := exec.Command(os.Args[0])
			next.Stdin, next.Stdout = os.Stdin, os.Stdout
			if err := next.Start(); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println("heir", next.Process.Pid)
		}
		os.Exit(0)
	}
}

// fakeSystemctl adds its arguments to the file args of a folder, a line each. It prints the line of the file answers
// that is at the position of the call, or the last; one that begins with an exclamation mark is an error. Where lingers is
// a FIFO it leaves a process behind that holds its output open until somebody has written to that.
func fakeSystemctl(dir string, args []string) {
	lingers := filepath.Join(dir, "lingers")
	if len(args) == 0 { // the one that is left behind
		_, _ = os.ReadFile(lingers)
		os.Exit(0)
	}
	if _, err := os.Lstat(lingers); err == nil {
		next := exec.Command(os.Args[0])
		next.Path, next.Stdout = "/proc/self/exe", os.Stdout
		if err := next.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(7)
		}
	}
	// A call has six arguments.
	before, _ := os.ReadFile(filepath.Join(dir, "args"))
	call := bytes.Count(before, []byte("\n")) / 6
	answers, err := os.ReadFile(filepath.Join(dir, "answers"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(7)
	}
	if err := os.WriteFile(filepath.Join(dir, "args"), append(before, strings.Join(args, "\n")+"\n"...), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(7)
	}
	lines := strings.Split(strings.TrimSuffix(string(answers), "\n"), "\n")
	answer := strings.ReplaceAll(lines[min(call, len(lines)-1)], `\n`, "\n")
	if text, failed := strings.CutPrefix(answer, "!"); failed {
		fmt.Fprint(os.Stderr, text)
		os.Exit(1)
	}
	if answer == "flood" {
		answer = strings.Repeat("7", 10<<20)
	}
	fmt.Println(answer)
	os.Exit(0)
}

// running is a victim as the test sees it.
type running struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string // what it prints; closed when all that can print have ended
}

// startVictim starts a victim, which is called like the base of program. It is killed, and waited for, by end.
func startVictim(program string, args ...string) (*running, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), roleVariable+"=victim", "GORACE=atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &running{cmd: cmd, stdin: stdin, lines: make(chan string, 1000)}
	go func() {
		defer close(r.lines)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			r.lines <- lines.Text()
		}
	}()
	if line := r.line(); line != "ready" {
		r.end()
		return nil, fmt.Errorf("%s %q printed %q", program, args, line)
	}
	return r, nil
}

func (r *running) pid() int { return r.cmd.Process.Pid }

// line returns the next line that is printed, "" for none any more.
func (r *running) line() string {
	select {
	case line := <-r.lines:
		return line
	case <-time.After(patience):
		return "nothing"
	}
}

// signals returns the next n signals that it got, fewer if it has ended before, or nothing has come for too long. SIGCONT
// is left out.
func (r *running) signals(n int) (got []string) {
	for len(got) < n {
		switch line := r.line(); line {
		case "", "nothing":
			return got
		case "CONT":
		default:
			got = append(got, line)
		}
	}
	return got
}

// ended tells whether it has ended; nobody has waited for it.
func (r *running) ended() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, r.pid(), &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	return err == nil && info.Signo != 0
}

// await waits for it to end, or be stopped, without taking that from its parent.
func (r *running) await(what int) error {
	return unix.Waitid(unix.P_PID, r.pid(), &unix.Siginfo{}, what|unix.WNOWAIT, nil)
}

func (r *running) end() {
	_ = r.stdin.Close()
	_ = r.cmd.Process.Kill()
	for range r.lines { // until a heir has ended as well
	}
	_ = r.cmd.Wait()
}

// newVictim is startVictim for a Go test.
func newVictim(tb testing.TB, args ...string) *running {
	tb.Helper()
	r, err := startVictim("/proc/self/exe", args...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.end)
	return r
}

// peer is a service that takes messages.
type peer struct {
	address  string
	received chan string
	close    func()
}

// newPeer listens; it signals the victim when it gets something, if there is one.
func newPeer(network, address string, v *running) (*peer, error) {
	p := &peer{received: make(chan string, 10)}
	take := func(text string) {
		p.received <- text
		if v != nil {
			_ = v.cmd.Process.Signal(syscall.SIGUSR1)
		}
	}
	if network == receiver.Shm {
		return p, serveRing(p, address, take)
	}
	done := make(chan struct{})
	if network == "tcp" || network == "unix" {
		listener, err := net.Listen(network, address)
		if err != nil {
			return nil, err
		}
		p.address = listener.Addr().String()
		p.close = func() { _ = listener.Close(); <-done }
		go func() {
			defer close(done)
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "READY\n")
			reader := bufio.NewReader(conn)
			line, _ := reader.ReadString('\n')
			take(line)
			_, _ = io.Copy(io.Discard, reader) // ed-stop stays
		}()
		return p, nil
	}
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	p.address = conn.LocalAddr().String()
	p.close = func() { _ = conn.Close(); <-done }
	go func() {
		defer close(done)
		buffer := make([]byte, 2*receiver.MaxUnixgram)
		for {
			n, _, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			take(string(buffer[:n]))
		}
	}()
	return p, nil
}
