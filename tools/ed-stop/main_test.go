//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

func TestScripts(t *testing.T) {
	bin := tooltest.Build(t, "tools/ed-stop")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	tcp, udp := refusing(t)
	tooltest.Scripts(t, bin, tooltest.Params{
		Commands: commands(),
		Setup: func(env *testscript.Env) error {
			env.Setenv("BIN", bin)
			env.Setenv("USER", me.Username)
			env.Setenv("REFUSED", tcp)
			env.Setenv("REFUSED_UDP", udp)
			env.Setenv("ESC", "\x1b[31m")
			long := bytes.Repeat([]byte("x"), receiver.MaxUDP)
			return cmp.Or(os.WriteFile(filepath.Join(env.WorkDir, "long"), long, 0o600), setup(env))
		},
	})
}

// refusing returns addresses where everybody is refused, and which nobody else gets until the test ends.
func refusing(t *testing.T) (tcp, udp string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) // bound, and not listening
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	// One that is connected takes datagrams only from there.
	conn, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return fmt.Sprintf("127.0.0.1:%d", address.(*unix.SockaddrInet4).Port), conn.LocalAddr().String()
}

func TestManners(t *testing.T) {
	tooltest.Manners(t, tooltest.Build(t, "tools/ed-stop"), "ed-stop", cli.StatusBad)
}

// runHere runs the program in this process.
func runHere(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(cli.Env{Args: args, Getenv: func(string) string { return "" }, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err})
	return status, out.String(), err.String()
}

func TestItself(t *testing.T) {
	status, _, stderr := runHere("--service", strconv.Itoa(os.Getpid()))
	if want := fmt.Sprintf("ed-stop: process %d is not stopped: it is ed-stop itself\n", os.Getpid()); status != 1 || stderr != want {
		t.Errorf("status %d, %q, want %q", status, stderr, want)
	}
}

func TestThread(t *testing.T) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		if thread.Name() == strconv.Itoa(os.Getpid()) {
			continue
		}
		status, _, stderr := runHere(thread.Name())
		if want := "ed-stop: " + thread.Name() + " is the number of a thread, not of a process\n"; status != 1 || stderr != want {
			t.Errorf("status %d, %q, want %q", status, stderr, want)
		}
		return
	}
	t.Error("this process has no other thread")
}

func TestKernelThread(t *testing.T) {
	status, err := procfs("/proc").stat(2)
	if err != nil || !status.kernel {
		t.Skip("process 2 is no thread of the kernel here")
	}
	for _, args := range [][]string{{"2"}, {"--dry-run", "2"}, {"--kill", "2"}} {
		code, stdout, stderr := runHere(args...)
		if want := "ed-stop: process 2 is not stopped: it is a thread of the kernel, " + status.comm + "\n"; code != 1 || stdout != "" || stderr != want {
			t.Errorf("%q: status %d, %q, %q, want %q", args, code, stdout, stderr, want)
		}
	}
}

// TestOtherUser stops a process of this user as nobody, who has no right to.
func TestOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	file := filepath.Join(tooltest.Build(t, "tools/ed-stop"), "ed-stop")
	if err := os.Chmod(file, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.Open(file) // nobody can't get to it by its path if a folder above is private
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = program.Close() }()
	v := newVictim(t, "INT")
	for _, args := range [][]string{{}, {"--dry-run"}, {"--kill"}} {
		cmd := exec.Command("/proc/self/fd/3", append(args, strconv.Itoa(v.pid()))...)
		cmd.ExtraFiles = []*os.File{program}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		err := cmd.Run()
		exit := (*exec.ExitError)(nil)
		want := fmt.Sprintf("ed-stop: \"%d\": no permission to stop process %[1]d of user root\n", v.pid())
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || stderr.String() != want {
			t.Errorf("%q: %v, %q, want %q", args, err, &stderr, want)
		}
	}
	if v.ended() {
		t.Error("it has ended")
	}
}

// TestNameOfAnother: a process that was found by its name, and by the time that it is held has gone, or the number is one
// of another name, isn't it.
func TestNameOfAnother(t *testing.T) {
	other, gone := newVictim(t, "INT"), newVictim(t)
	gone.end()
	for _, tt := range []struct {
		found [][]int // by one search after the other
		want  string
	}{
		{[][]int{{other.pid()}, {}}, errNobody.Error()},
		{[][]int{{gone.pid()}, {}}, errNobody.Error()},
		{[][]int{{gone.pid()}, {other.pid()}, {gone.pid()}, {other.pid()}}, `"demo": the processes of that name come and go`},
	} {
		s := newStopper(t)
		s.search = func(string) (pids []int, err error) {
			pids, tt.found = tt.found[0], tt.found[1:]
			return pids, nil
		}
		held, err := s.byProcessName("demo")
		if held != nil || fmt.Sprint(cmp.Or(err, errors.New(""))) != tt.want {
			t.Errorf("got %v, %v, want %q", held, err, tt.want)
		}
	}
	if other.ended() {
		t.Error("another was stopped")
	}
}

// newStopper returns one that is closed when the test ends.
func newStopper(t *testing.T) *stopper {
	t.Helper()
	tool, _ := newTool(cli.Env{Stderr: new(bytes.Buffer)})
	p := &plan{steps: []step{{sigint, time.Hour}}, processNames: true}
	s, err := p.prepare(tool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.loop.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestGoneWhenLookedAt: a process that goes while /proc is looked at isn't the one that was seen there.
func TestGoneWhenLookedAt(t *testing.T) {
	v := newVictim(t)
	s := newStopper(t)
	found := []int{v.pid()}
	s.search = func(string) (pids []int, err error) {
		pids, found = found, nil
		return pids, nil
	}
	s.has = func(int, string) bool {
		v.end() // another may get its number now, and be called so
		return true
	}
	if p, err := s.byProcessName("demo"); p != nil || !errors.Is(err, errNobody) {
		t.Errorf("got %v, %v", p, err)
	}
}

// TestAmong: of two with one number the second is the first only as long as that is alive.
func TestAmong(t *testing.T) {
	v := newVictim(t)
	s := newStopper(t)
	var held []*process
	for range 2 {
		p, err := s.hold("demo", v.pid())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, p)
	}
	if !s.among(held[:1], held[1]) {
		t.Error("one process is taken for two")
	}
	v.end()
	if s.among(held[:1], held[1]) {
		t.Error("a process is taken for one that had its number before")
	}
}

// TestPeerHangsUp: a service that hangs up has its time to end all the same.
func TestPeerHangsUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	target, err := receiver.Parse(receiver.TCP, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- (&request{Target: target, text: []byte("STOP\n")}).send(ctx) }()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "STOP\n" {
		t.Errorf("received %q, %v", line, err)
	}
	_ = conn.Close()
	select {
	case err := <-sent:
		t.Fatalf("it has returned %v when the service hung up", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// TestMessageIsStuck: a message that can't be sent in its time keeps nothing up, and the first signal has its own time.
func TestMessageIsStuck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "full")
	service, err := net.ListenPacket("unixgram", path) // nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Close() }()
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for err == nil { // until its queue is full
		_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		_, err = conn.Write([]byte("X"))
	}
	v := newVictim(t, "INT")
	status, _, stderr := runHere("-M", "unixgram:"+path, "--timeout", "0.1", "--signal", "INT:1h", strconv.Itoa(v.pid()))
	if status != 0 || !strings.Contains(stderr, "did not take it in time") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("status %d, %q", status, stderr)
	}
	if got := v.signals(100); strings.Join(got, " ") != "INT" {
		t.Errorf("it got %q", got)
	}
}

// unitWords splits the ExecStop of a unit as systemd does, without quotes: $NAME as a word of its own becomes the
// words of the variable, none if it is unset, and ${NAME} is replaced by its value.
func unitWords(line string, env map[string]string) (words []string) {
	for _, word := range strings.Fields(line) {
		if name, ok := strings.CutPrefix(word, "$"); ok && !strings.HasPrefix(name, "{") {
			words = append(words, strings.Fields(env[name])...)
			continue
		}
		words = append(words, regexp.MustCompile(`\$\{\w+\}`).ReplaceAllStringFunc(word, func(v string) string {
			return env[v[2:len(v)-1]]
		}))
	}
	return words
}

// TestUnit stops a process with the ExecStop of the example's unit, with and without a main process.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "systemd", "demo.service"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ExecStop=(.*)$`).FindSubmatch(text)
	if line == nil || !regexp.MustCompile(`^\S*ed-stop --service \$MAINPID$`).Match(line[1]) {
		t.Fatalf("the ExecStop is %q", line)
	}
	v := newVictim(t, "INT")
	for _, tt := range []struct {
		env  map[string]string
		want []string
	}{
		{nil, []string{"--service"}},
		{map[string]string{"MAINPID": strconv.Itoa(v.pid())}, []string{"--service", strconv.Itoa(v.pid())}},
	} {
		args := unitWords(string(line[1]), tt.env)[1:]
		if strings.Join(args, " ") != strings.Join(tt.want, " ") {
			t.Fatalf("the words are %q, want %q", args, tt.want)
		}
		if status, stdout, stderr := runHere(args...); status != 0 || stdout+stderr != "" {
			t.Errorf("%q: status %d, %q, %q", args, status, stdout, stderr)
		}
	}
	if got := v.signals(100); strings.Join(got, " ") != "INT" || !v.ended() {
		t.Errorf("it got %q", got)
	}
}
