//go:build linux

package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

const patience = 20 * time.Second

// TestService builds the program and talks to it as its users do.
func TestService(t *testing.T) {
	program := build(t)
	t.Run("Commands", func(t *testing.T) { testCommands(t, program) })
	t.Run("SharedMemory", func(t *testing.T) { testSharedMemory(t, program) })
	t.Run("Ends", func(t *testing.T) { testEnds(t, program) })
	t.Run("Refuses", func(t *testing.T) { testRefuses(t, program) })
	t.Run("Log", func(t *testing.T) { testLog(t, program) })
}

func build(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// process is the program at work.
type process struct {
	*exec.Cmd
	tb    testing.TB
	addrs map[string]string // by network
	log   *strings.Builder
}

// begin runs the program on all transports, with further arguments, and waits until it listens.
func begin(tb testing.TB, program string, args ...string) *process {
	tb.Helper()
	dir := tb.TempDir()
	path, ring := filepath.Join(dir, "s"), filepath.Join(dir, "ring")
	p := &process{tb: tb, addrs: map[string]string{}, log: &strings.Builder{}}
	args = append([]string{"--name", "demo", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", path, "--shm", ring}, args...)
	p.Cmd = exec.Command(program, args...)
	p.Stderr = p.log
	stdout, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = p.Process.Kill() // does nothing if it has ended
		_ = p.Wait()
	})
	lines := bufio.NewScanner(stdout)
	want := 4
	if slices.Contains(args, "--log-rotate") {
		want++
	}
	for len(p.addrs) < want && lines.Scan() {
		var network, addr string
		if _, err := fmt.Sscanf(lines.Text(), "listening %s %s", &network, &addr); err != nil {
			tb.Fatalf("it printed %q", lines.Text())
		}
		p.addrs[network] = addr
	}
	if len(p.addrs) < want || p.addrs["unix"] != path || p.addrs["shm"] != ring {
		tb.Fatalf("it listens at %v", p.addrs)
	}
	return p
}

// connect makes a connection over a transport.
func (p *process) connect(network string) net.Conn {
	p.tb.Helper()
	return p.dial(network, p.addrs[network])
}

func (p *process) dial(network, address string) net.Conn {
	p.tb.Helper()
	var dialer net.Dialer
	if network == "unixgram" { // where the answers go
		dialer.LocalAddr = &net.UnixAddr{Net: network, Name: filepath.Join(p.tb.TempDir(), "c")}
	}
	conn, err := dialer.Dial(network, address)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.tb.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// ask sends a message and returns the reply.
func ask(tb testing.TB, conn net.Conn, text string) *message.Message {
	tb.Helper()
	if _, err := fmt.Fprintln(conn, text); err != nil {
		tb.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	n, err := conn.Read(buf) // a reply to one message comes in one piece
	if err != nil {
		tb.Fatalf("%q: %v", text, err)
	}
	m, err := message.Parse(string(buf[:n]))
	if err != nil {
		tb.Fatalf("%q was answered with %q: %v", text, buf[:n], err)
	}
	return m
}

// end waits for the end of the program, which has to be a good one.
func (p *process) end() {
	p.tb.Helper()
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			p.tb.Errorf("it ended with %v\n%s", err, p.log)
		}
	case <-time.After(patience):
		_ = p.Process.Kill()
		err := <-done
		p.tb.Fatalf("it doesn't end: %v\n%s", err, p.log)
	}
	for _, network := range []string{"unix", "shm"} {
		if _, err := os.Lstat(p.addrs[network]); err == nil {
			p.tb.Errorf("the socket's file of %s is still there", network)
		}
	}
}

func testCommands(t *testing.T, program string) {
	p := begin(t, program)
	big := strings.Repeat("9", 300)
	for _, network := range []string{"tcp", "udp", "unix"} {
		conn := p.connect(network)
		for _, tt := range []struct{ ask, want string }{
			{"PING", "PONG"},
			{"<a:b demo/PING x=1;y=two words", "a:b/PONG x=1;y=two words"},
			{"PING secret_code=hush;x=1", "PONG x=1"},
			{"SUM", "TOTAL sum=0"},
			{"SUM a=1;b=2;c=-5", "TOTAL sum=-2"},
			{"SUM a=" + big + ";b=1", "TOTAL sum=1" + strings.Repeat("0", 300)},
			{"SUM a=one", `INVALID command=SUM;message=parameter "a": not a whole number`},
			{"SUM a=1.5", `INVALID command=SUM;message=parameter "a": not a whole number`},
			{"DANCE", "UNKNOWN command=DANCE"},
			{"ALIVE timestamp=now", `INVALID command=ALIVE;message=ALIVE: parameter "timestamp": not a number of seconds, such as 1.5`},
			{`{"sent-from-service":"b","command":"PING","parameters":{"x":1}}`, "b/PONG x=1"},
			{"HELP", "COMMANDS list=ALIVE,HELP,INVALID,LEAK,LOG_ROTATE,PING,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STATUS,STOP,SUM,UNKNOWN"},
		} {
			want, err := message.Parse(tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if got := ask(t, conn, tt.ask); got.String() != want.String() {
				t.Errorf("%s: %.60q was answered with %v, want %v", network, tt.ask, got, want)
			}
		}
		if m := ask(t, conn, "ALIVE serial=7;timestamp=123"); m.Command() != "ABSOLUTELY" || m.Get("serial") != "7" ||
			m.Get("timestamp") != "123" || !strings.Contains(m.Get("reply_timestamp"), ".") {
			t.Errorf("%s: ALIVE was answered with %v", network, m)
		}
		if network != "udp" { // a listing is too long for a datagram
			if m := ask(t, conn, "STATUS"); m.Command() != "STATUS_REPORT" || !strings.Contains(m.Get("text"), "\nNAME ") {
				t.Errorf("%s: STATUS was answered with %v", network, m)
			}
		}
		// These are taken and not answered.
		for _, quiet := range []string{"INVALID", "UNKNOWN", "LEAK", "LOG_ROTATE", "QUITTING", "READY", "RESTART", "SERVICE_UNAVAILABLE destination_service=x;unsent_command=Y"} {
			if _, err := fmt.Fprintln(conn, quiet); err != nil {
				t.Fatal(err)
			}
		}
		if network == "udp" {
			if _, err := fmt.Fprintln(conn, "noise: never answered over UDP"); err != nil {
				t.Fatal(err)
			}
		} else if m := ask(t, conn, "noise"); m.Command() != "INVALID" {
			t.Errorf("%s: noise was answered with %v", network, m)
		}
		if m := ask(t, conn, "PING last=1"); m.String() != "PONG last=1" {
			t.Errorf("%s: answered with %v", network, m)
		}
	}
}

// testSharedMemory asks it through shared memory, as people do, and ends it so.
func testSharedMemory(t *testing.T, program string) {
	signal := filepath.Join(t.TempDir(), "ed-signal")
	if out, err := exec.Command("go", "build", "-o", signal, "../../tools/ed-signal").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	p := begin(t, program)
	for _, tt := range []struct{ ask, want string }{
		{"--reply HELP", "/COMMANDS list=ALIVE,HELP,INVALID,LEAK,LOG_ROTATE,PING,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STATUS,STOP,SUM,UNKNOWN\n"},
		{"--value x --param x=" + strings.Repeat("9", 100_000) + " PING", strings.Repeat("9", 100_000) + "\n"},
		{"--value sum --param a=1 --param b=2 SUM", "3\n"},
		{"STOP", ""},
	} {
		args := append([]string{"--config=", "--type", "shm", "--host", p.addrs["shm"], "--timeout", patience.String()}, strings.Fields(tt.ask)...)
		var stdout, stderr strings.Builder
		cmd := exec.Command(signal, args...)
		cmd.Env = append(os.Environ(), "ED_SIGNAL=")
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil || !strings.HasSuffix(stdout.String(), tt.want) || stderr.Len() > 0 {
			t.Errorf("%.60s: %v, printed %.200q, %q", tt.ask, err, stdout.String(), stderr.String())
		}
	}
	p.end()
}

// testEnds ends it in each way that there is, while others are connected.
func testEnds(t *testing.T, program string) {
	for _, how := range []string{"STOP tcp", "STOP udp", "STOP unix", "SIGINT", "SIGTERM"} {
		t.Run(how, func(t *testing.T) {
			p := begin(t, program)
			idle := p.connect("tcp")
			ask(t, idle, "PING")
			command, network, _ := strings.Cut(how, " ")
			switch command {
			case "SIGINT":
				_ = p.Process.Signal(syscall.SIGINT)
			case "SIGTERM":
				_ = p.Process.Signal(syscall.SIGTERM)
			default:
				if _, err := fmt.Fprintln(p.connect(network), command); err != nil {
					t.Fatal(err)
				}
			}
			p.end()
			if rest, err := io.ReadAll(idle); len(rest) > 0 || err != nil {
				t.Errorf("an idle connection got %q, %v", rest, err)
			}
		})
	}
}

// testRefuses: what can't be done is said on standard error, with status 1.
func testRefuses(t *testing.T, program string) {
	p := begin(t, program)
	for _, args := range [][]string{
		{"--tcp", p.addrs["tcp"]}, {"--udp", p.addrs["udp"]}, {"--unix", p.addrs["unix"]}, {"--shm", p.addrs["shm"]}, {"--tcp", "nonsense"}, {"--name", "not a name"},
		{"--log-file", filepath.Join(t.TempDir(), "no", "log")}, {"--log-rotate", "127.0.0.1:0"},
		{"--log-file", os.DevNull, "--log-rotate", "nonsense"},
	} {
		cmd := exec.Command(program, args...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(out), "service: ") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%q: %v, printed %q", args, err, out)
		}
	}
}

// testLog renames the log file and has it opened again: what is logged then stands in the new one.
func testLog(t *testing.T, program string) {
	for network, address := range map[string]string{
		"udp": "127.0.0.1:0", "unixgram": filepath.Join(t.TempDir(), "log.sock"), "none of its own": "",
	} {
		t.Run(network, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "log")
			args := []string{"--log-file", file}
			if address != "" {
				args = append(args, "--log-rotate", address)
			}
			p := begin(t, program, args...)
			service := p.connect("tcp")
			rotation := service
			if address != "" {
				rotation = p.dial(network, p.addrs["log-rotate"])
			}
			holds := func(name, what string) {
				t.Helper()
				if text, err := os.ReadFile(name); strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), what) {
					t.Errorf("%s holds %q, %v, want %q", name, text, err, what)
				}
			}
			ask(t, service, "RESTART\nPING") // which is answered when the first was logged
			holds(file, `msg="told to restart"`)

			old := file + ".1"
			if err := os.Rename(file, old); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintln(rotation, "LOG_ROTATE"); err != nil {
				t.Fatal(err)
			}
			ask(t, rotation, "ALIVE") // which is answered when the file was opened
			ask(t, service, "QUITTING\nPING")
			holds(file, `msg="a peer is quitting"`)
			holds(old, `msg="told to restart"`)

			_ = service.Close() // or it would be waited for
			_ = p.Process.Signal(syscall.SIGTERM)
			p.end()
			if _, err := os.Lstat(address); err == nil {
				t.Error("the file of --log-rotate is still there")
			}
			if p.log.Len() > 0 {
				t.Errorf("it printed %s", p.log)
			}
		})
	}
}
