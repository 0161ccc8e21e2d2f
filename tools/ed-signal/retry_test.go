package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

// TestRetry: a service that comes later is waited for, and gets the message once.
func TestRetry(t *testing.T) {
	for _, tt := range []struct {
		network string
		args    []string
		absent  func(t *testing.T) (address string, start func() *peer)
	}{
		{receiver.Unix, nil, absentUnix},
		{receiver.Unix, []string{"-x", "PONG"}, absentUnix},
		{receiver.Unixgram, nil, absentUnixgram},
		{receiver.Unixgram, []string{"-r"}, absentUnixgram},
		{receiver.TCP, []string{"-r"}, absentTCP},
		{receiver.UDP, []string{"-r"}, absentUDP},
	} {
		t.Run(strings.Join(append(tt.args, tt.network), " "), func(t *testing.T) {
			t.Parallel()
			address, start := tt.absent(t)
			log := make(logWriter, 100)
			ended := make(chan int)
			var stdout strings.Builder
			go func() {
				ended <- runOn(cli.Env{
					Args:   append(tt.args, "-t", tt.network, "-H", address, "-R", "--timeout", "0", "--log-level", "info", "PING"),
					Getenv: func(string) string { return "" },
					Stdout: &stdout,
					Stderr: log,
				}, "vm", "")
			}()
			if line := <-log; !strings.Contains(line, "nobody listens: trying again") || !strings.Contains(line, address) {
				t.Fatalf("logged %q", line)
			}
			p := start()
			t.Cleanup(p.close)
			if status := <-ended; status != 0 || (stdout.String() == "PONG\n") != (tt.args != nil) {
				t.Errorf("status %d, %q", status, &stdout)
			}
			if got := strings.TrimSuffix(p.got(), "\n"); got != "<vm:ed_signal PING" {
				t.Errorf("sent %q", got)
			}
			if len(p.received) > 0 {
				t.Errorf("sent more: %q", p.got())
			}
		})
	}
}

// TestRetryEnds: not longer than --timeout, and not for another reason than that nobody listens.
func TestRetryEnds(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-t", "unix", "-H", missing, "--timeout", "50ms"}, missing + ": nobody listened within 50ms: dial unix " + missing + ": connect: no such file or directory"},
		{[]string{"-t", "tcp", "-H", "127.0.0.1:1", "--timeout", "300ms"}, "127.0.0.1:1: nobody listened within 300ms: dial tcp "},
		{[]string{"-t", "unix", "-H", missing + "/x/" + strings.Repeat("y", 300), "--timeout", "0"}, "at most 107 bytes"},
		{[]string{"-t", "unix", "-H", write(t, "") + "/x", "--timeout", "0"}, "not a directory"},
		{[]string{"-t", "unix", "-H", startPeer(t, receiver.Unixgram, behaviour{}).address, "--timeout", "0"}, "wrong type"},
		{[]string{"-t", "unix", "-H", startPeer(t, receiver.Unix, behaviour{}).address, "--timeout", "0", "-x", "PONG"}, "no PONG"},
	} {
		if status, _, stderr := runHere(append(tt.args, "--retry", "PING")...); status != 1 || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: %d, %q, want %s", tt.args, status, stderr, tt.want)
		}
	}
}

// TestRetryRemembers: when the time is over in the middle of a try, the reason of the one before is told.
func TestRetryRemembers(t *testing.T) {
	s := signaller{
		tool:   cli.New(cli.Config{Name: "ed-signal"}, cli.Env{Stderr: io.Discard}),
		target: receiver.Target{Network: receiver.TCP, Address: "127.0.0.1:1"},
	}
	s.timeout = time.Second
	over, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	for _, tt := range []struct {
		refused error
		want    string
	}{
		{nil, "127.0.0.1:1: no connection within 1s"},
		{syscall.ECONNREFUSED, "127.0.0.1:1: nobody listened within 1s: connection refused"},
	} {
		s.refused = tt.refused
		if _, err := s.dial(over, nil); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func absentUnix(t *testing.T) (string, func() *peer) { return absentSocket(t, receiver.Unix) }

func absentUnixgram(t *testing.T) (string, func() *peer) { return absentSocket(t, receiver.Unixgram) }

func absentSocket(t *testing.T, network string) (string, func() *peer) {
	dir := t.TempDir()
	return filepath.Join(dir, "socket"), func() *peer {
		p, err := newPeer(network, dir, behaviour{replies: []string{"PONG\n"}})
		if err != nil {
			panic(err)
		}
		return p
	}
}

// absentTCP has a port, so that nobody else can take it, without listening there yet.
func absentTCP(t *testing.T) (string, func() *peer) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { _ = file.Close() })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*unix.SockaddrInet4).Port}
	return address.String(), func() *peer {
		if err := unix.Listen(fd, 10); err != nil {
			panic(err)
		}
		listener, err := net.FileListener(file)
		if err != nil {
			panic(err)
		}
		p := &peer{received: make(chan string, 100)}
		p.serveStreams(listener, behaviour{replies: []string{"PONG\n"}})
		return p
	}
}

// absentUDP has a port on a socket that takes datagrams of another one only.
func absentUDP(t *testing.T) (string, func() *peer) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		if failed != nil {
			return failed
		}
		return err
	}}
	holder, err := config.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Close() })
	raw, err := holder.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.Connect(int(fd), &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9})
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	address := holder.LocalAddr().String()
	return address, func() *peer {
		conn, err := config.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			panic(err)
		}
		p := &peer{received: make(chan string, 100)}
		p.serveDatagrams(conn, behaviour{replies: []string{"PONG"}})
		return p
	}
}
