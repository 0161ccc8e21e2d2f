//go:build linux

package activation_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/activation"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// set gives the variables values for this test; what isn't named is not set.
func set(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		t.Setenv(name, "") // so that it is as it was when the test ends
		if value, ok := variables[name]; ok {
			t.Setenv(name, value)
		} else if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

// left fails the test for each variable that a child would find.
func left(tb testing.TB) {
	tb.Helper()
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "LISTEN_") {
			tb.Errorf("%s is still set", variable)
		}
	}
}

func TestNone(t *testing.T) {
	me, other := strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())
	for name, variables := range map[string]map[string]string{
		"nothing":           {},
		"somebody else's":   {"LISTEN_PID": other, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"},
		"someone's, broken": {"LISTEN_PID": other, "LISTEN_FDS": "x", "LISTEN_FDNAMES": "a:b"},
		"no process":        {"LISTEN_FDS": "1", "LISTEN_PIDFDID": "7"},
		"no number":         {"LISTEN_PID": me},
		"zero":              {"LISTEN_PID": me, "LISTEN_FDS": "0"},
		"zero, no names":    {"LISTEN_PID": me, "LISTEN_FDS": "0", "LISTEN_FDNAMES": ""},
		"empty":             {"LISTEN_PID": "", "LISTEN_FDS": "", "LISTEN_FDNAMES": ""},
	} {
		set(t, variables)
		if sockets, err := activation.Sockets(); len(sockets) != 0 || err != nil {
			t.Errorf("%s: %v, %v", name, sockets, err)
		}
		left(t)
	}
}

func TestMalformed(t *testing.T) {
	me := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		pid, fds string
		variable string
		want     error
	}{
		{"x", "1", "LISTEN_PID", activation.ErrNumber},
		{"0", "1", "LISTEN_PID", activation.ErrNumber},
		{"-1", "1", "LISTEN_PID", activation.ErrNumber},
		{me + " ", "1", "LISTEN_PID", activation.ErrNumber},
		{"99999999999999999999", "1", "LISTEN_PID", activation.ErrRange},
		{me, "one", "LISTEN_FDS", activation.ErrNumber},
		{me, "-1", "LISTEN_FDS", activation.ErrNumber},
		{me, "1.5", "LISTEN_FDS", activation.ErrNumber},
		{me, "2147483647", "LISTEN_FDS", activation.ErrRange},
		{me, "4294967296", "LISTEN_FDS", activation.ErrRange},
		{me, "2147483644", "LISTEN_FDS", syscall.EBADF}, // so many are never open
	} {
		set(t, map[string]string{"LISTEN_PID": tt.pid, "LISTEN_FDS": tt.fds})
		sockets, err := activation.Sockets()
		var typed *activation.Error
		if !errors.As(err, &typed) || !errors.Is(err, tt.want) || len(sockets) != 0 {
			t.Errorf("LISTEN_PID=%s, LISTEN_FDS=%s: %v, %v, want %v", tt.pid, tt.fds, sockets, err, tt.want)
			continue
		}
		if typed.Variable != tt.variable || !strings.Contains(err.Error(), tt.variable+"="+strconv.Quote(typed.Value)) {
			t.Errorf("LISTEN_PID=%s, LISTEN_FDS=%s: %v, want the variable %s", tt.pid, tt.fds, err, tt.variable)
		}
		left(t)
	}
}

// service says in the environment which service this process is; see child.
const service = "ACTIVATION_TEST_SERVICE"

// child makes a command that runs a test of this binary as a service manager would: with descriptors from 3 on,
// and with its own process number, which the shell knows that becomes the service.
func child(t *testing.T, test, kind string, env []string, files ...*os.File) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=$$; export LISTEN_PID; exec "$0" "$@"`,
		exe, "-test.run=^"+test+"$", "-test.v", "-test.timeout="+looptest.Patience.String())
	cmd.Env = append(os.Environ(), service+"="+kind, "LISTEN_FDS="+strconv.Itoa(len(files)), "LISTEN_PIDFDID=1", "GORACE=atexit_sleep_ms=0")
	cmd.Env = append(cmd.Env, env...)
	cmd.ExtraFiles = files
	return cmd
}

// file is the descriptor of a socket of package net, which is closed.
func file(t *testing.T, socket interface {
	io.Closer
	File() (*os.File, error)
}) *os.File {
	t.Helper()
	f, err := socket.File()
	if err == nil {
		err = socket.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestService starts a service with a TCP, a Unix and a datagram socket, and uses all of them.
func TestService(t *testing.T) {
	if os.Getenv(service) != "" {
		serve(t)
		return
	}
	fdtest.Check(t)
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	unixListener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	unixListener.SetUnlinkOnClose(false)
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	addrs := []net.Addr{tcp.Addr(), unixListener.Addr(), udp.LocalAddr()}
	// Who comes before the service is up is served all the same.
	early, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	cmd := child(t, "TestService", "serve", []string{"LISTEN_FDNAMES=commands:local:"},
		file(t, tcp), file(t, unixListener), file(t, udp))
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ask(t, early, "first")
	for _, addr := range addrs[1:] {
		conn, err := net.Dial(addr.Network(), addr.String())
		if err != nil {
			t.Fatal(err)
		}
		ask(t, conn, addr.Network())
		_ = conn.Close()
	}
	conn, err := net.Dial("tcp", addrs[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "stop")
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "--- PASS: TestService") {
		t.Errorf("the service: %v\n%s", err, out)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket's file was removed, which is the manager's: %v", err)
	}
}

// ask sends a line and expects it back.
func ask(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(looptest.Patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(conn, text)
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != text+"\n" || err != nil {
		t.Errorf("%s: the answer is %q, %v", text, line, err)
	}
}

// serve is the service of TestService, in a process of its own.
func serve(t *testing.T) {
	sockets, err := activation.Sockets()
	if err != nil || len(sockets) != 3 {
		t.Fatalf("sockets %v, %v", sockets, err)
	}
	left(t)
	if again, err := activation.Sockets(); len(again) != 0 || err != nil {
		t.Errorf("the second time: %v, %v", again, err)
	}
	for i, s := range sockets {
		if want := []string{"commands", "local", ""}[i]; s.Name != want || s.FD != 3+i {
			t.Errorf("socket %d is %+v, want the name %q", i, s, want)
		}
		if flags, err := unix.FcntlInt(uintptr(s.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d: flags %d, %v", s.FD, flags, err)
		}
	}
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	lines := connection.Streams(connection.Split(bufio.ScanLines, connection.FrameFunc(func(s *connection.Stream, line []byte) error {
		if string(line) == "stop" {
			s.Loop().Stop(nil)
		}
		_, err := fmt.Fprintf(s, "%s\n", line)
		return err
	})), connection.StreamConfig{})
	for _, s := range sockets[:2] {
		l, err := connection.ListenFD(loop, s.FD, lines, connection.ListenConfig{Name: s.Name})
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr() == nil || l.Addr().String() == "" {
			t.Errorf("%s listens at %v", s.Name, l.Addr())
		}
	}
	_, err = connection.NewDatagram(loop, sockets[2].FD, connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
		return d.WriteTo(data, from)
	}), connection.DatagramConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), looptest.Patience)
	defer cancel()
	if err := loop.Run(ctx); err != nil {
		t.Error(err)
	}
}

// TestNames: without names all sockets have the one that systemd has for that; a number of names that is not that of
// the descriptors is an error.
func TestNames(t *testing.T) {
	switch os.Getenv(service) {
	case "unnamed":
		sockets, err := activation.Sockets()
		if err != nil || len(sockets) != 1 || sockets[0].Name != activation.Unnamed {
			t.Errorf("sockets %v, %v", sockets, err)
		}
		return
	case "names":
		sockets, err := activation.Sockets()
		var typed *activation.Error
		if len(sockets) != 0 || !errors.Is(err, activation.ErrNames) || !errors.As(err, &typed) || typed.Variable != "LISTEN_FDNAMES" || typed.Value != "a:b" {
			t.Errorf("sockets %v, %v", sockets, err)
		}
		left(t)
		return
	}
	for kind, env := range map[string][]string{"unnamed": nil, "names": {"LISTEN_FDNAMES=a:b"}} {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		out, err := child(t, "TestNames", kind, env, file(t, l)).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestNames") {
			t.Errorf("%s: %v\n%s", kind, err, out)
		}
	}
}
