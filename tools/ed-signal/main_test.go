package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// runHere runs the program on a host named vm.
func runHere(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(args, environment{hostname: "vm", stdout: &out, stderr: &err})
	return status, out.String(), err.String()
}

// udpListener returns a socket, its address and a function that returns the first datagram sent to it, ""
// when there was none.
func udpListener(tb testing.TB) (address string, received func() string) {
	tb.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	address = conn.LocalAddr().String()
	return address, func() string {
		tb.Helper()
		// What was sent before is in the socket already, so the first is either it or this mark.
		const mark = "mark"
		if _, err := conn.WriteTo([]byte(mark), conn.LocalAddr()); err != nil {
			tb.Fatal(err)
		}
		buffer := make([]byte, 2*maxDatagram)
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			tb.Fatal(err)
		}
		if text := string(buffer[:n]); text != mark {
			return text
		}
		return ""
	}
}

// tcpListener returns the address of a server of one connection. It reads a line, writes reply and hangs up;
// received returns all it read.
func tcpListener(tb testing.TB, reply string) (address string, received func() string) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	all := make(chan string, 1)
	go func() {
		defer close(all)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		reader := bufio.NewReader(conn)
		line, _ := reader.ReadString('\n')
		_, _ = io.WriteString(conn, reply)
		_ = conn.(*net.TCPConn).CloseWrite()
		rest, _ := io.ReadAll(reader)
		all <- line + string(rest)
	}()
	tb.Cleanup(func() {
		_ = listener.Close()
		for range all { // the goroutine has ended
		}
	})
	return listener.Addr().String(), func() string { return <-all }
}

// TestRecorded runs what was recorded of the C++ tool: the same arguments, the same bytes on the wire, the
// same exit status and standard output.
func TestRecorded(t *testing.T) {
	data, err := os.ReadFile("testdata/wire.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	// One --param takes one value here, so that the command may follow it.
	differences := []string{"udp params multi values one -p"}

	for line := range strings.Lines(string(data)) {
		var recorded struct {
			Name       string
			Args       []string
			PeerReply  string `json:"peer_reply"`
			ExitStatus int    `json:"exit_status"`
			Stdout     string
			Output     string
		}
		if err := json.Unmarshal([]byte(line), &recorded); err != nil {
			t.Fatal(err)
		}
		t.Run(recorded.Name, func(t *testing.T) {
			var address string
			var received func() string
			if slices.Contains(recorded.Args, "tcp") {
				address, received = tcpListener(t, recorded.PeerReply)
			} else {
				address, received = udpListener(t)
			}
			args := slices.Clone(recorded.Args)
			for i, arg := range args {
				args[i] = strings.ReplaceAll(arg, "HOST:PORT", address)
			}
			status, stdout, stderr := runHere(args...)

			if slices.Contains(differences, recorded.Name) {
				recorded.ExitStatus, recorded.Output = 1, ""
			}
			if status != recorded.ExitStatus || stdout != recorded.Stdout {
				t.Errorf("got %d, %q, want %d, %q", status, stdout, recorded.ExitStatus, recorded.Stdout)
			}
			if got := received(); got != recorded.Output {
				t.Errorf("sent %q, want %q", got, recorded.Output)
			}
			if (stderr != "") != (status != 0) || stderr != "" && !strings.HasPrefix(stderr, "ed-signal: ") {
				t.Errorf("status %d with standard error %q", status, stderr)
			}
		})
	}
}

func TestLastMessageCounts(t *testing.T) {
	for want, args := range map[string][]string{
		"THREE": {"ONE", "-m", "TWO", "THREE"},
		"TWO":   {"ONE", "-m", "TWO"},
		"FOUR":  {"-m", "TWO", "--message=FOUR"},
		"A":     {"-m", "B", "--", "A"},
	} {
		address, received := udpListener(t)
		status, _, stderr := runHere(append([]string{"-H", address}, args...)...)
		if got := received(); status != 0 || got != "<vm:ed_signal "+want {
			t.Errorf("%q: %d, %q, sent %q", args, status, stderr, got)
		}
	}
}

func TestOptionsOfTheEnvironment(t *testing.T) {
	address, received := udpListener(t)
	var out bytes.Buffer
	status := run([]string{"PING", "-c", "new"}, environment{
		options: "--secret-code old  -S demo\n--host " + address,
		stdout:  &out,
		stderr:  &out,
	})
	if got := received(); status != 0 || got != "<:ed_signal demo/PING secret_code=new" {
		t.Errorf("%d, %q, sent %q", status, &out, got)
	}
}

func TestSecretIsForUDPOnly(t *testing.T) {
	address, received := tcpListener(t, "OK\n")
	status, _, stderr := runHere("-t", "tcp", "-H", address, "-c", "hush", "PING")
	if got := received(); status != 0 || got != "<vm:ed_signal PING\n" {
		t.Errorf("%d, %q, sent %q", status, stderr, got)
	}
}

func TestErrors(t *testing.T) {
	address, received := udpListener(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{}, "none given"},
		{[]string{"--nonsense", "PING"}, "--nonsense"},
		{[]string{"ping"}, `"ping"`},
		{[]string{"/PING"}, "no service"},
		{[]string{"a:/PING"}, "no service"},
		{[]string{":b/PING"}, "no server"},
		{[]string{"a-b/PING"}, `service "a-b"`},
		{[]string{"a/PING", "-S", "b"}, "--service"},
		{[]string{"a:b/PING", "-s", "c"}, "--server"},
		{[]string{"PING", "-p", "a b=1"}, `parameter "a b"`},
		{[]string{"PING", "-p", `a=;\`}, "backslash"},
		{[]string{"PING", "-t", "sctp"}, "sctp"},
		{[]string{"PING", "--timeout", "-1s"}, "negative"},
		{[]string{"PING", "--timeout", "soon"}, "soon"},
		{[]string{"PING", "-p", "a=" + strings.Repeat("x", maxDatagram)}, "1024"},
	} {
		status, stdout, stderr := runHere(append([]string{"-H", address}, tt.args...)...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: got %d, %q, %q, want 1 and %q", tt.args, status, stdout, stderr, tt.want)
		}
	}
	if got := received(); got != "" {
		t.Errorf("sent %q", got)
	}
}

func TestLongestDatagram(t *testing.T) {
	address, received := udpListener(t)
	value := strings.Repeat("x", maxDatagram-len("<vm:ed_signal PING v="))
	status, _, stderr := runHere("-H", address, "PING", "-p", "v="+value)
	if got := received(); status != 0 || len(got) != maxDatagram {
		t.Errorf("%d, %q, %d bytes sent", status, stderr, len(got))
	}
}

func TestTimeout(t *testing.T) {
	// A listener that never accepts: the kernel does, and nothing answers.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address := listener.Addr().String()
	for _, tt := range []struct {
		args   []string
		status int
	}{
		{[]string{"-t", "tcp", "--reply"}, 1},
		{[]string{"-t", "tcp"}, 0}, // it was sent
	} {
		start := time.Now()
		status, _, stderr := runHere(append(tt.args, "-H", address, "--timeout", "20ms", "PING")...)
		if status != tt.status || strings.Contains(stderr, "no reply within 20ms") != (status == 1) {
			t.Errorf("%v: got %d, %q", tt.args, status, stderr)
		}
		if took := time.Since(start); took < 20*time.Millisecond {
			t.Errorf("%v: gave up after %v", tt.args, took)
		}
	}
}

// TestReplyOverUDP: services that answer the sender of a datagram are heard.
func TestReplyOverUDP(t *testing.T) {
	service, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Close() }()
	go func() {
		buffer := make([]byte, maxDatagram)
		if _, from, err := service.ReadFrom(buffer); err == nil {
			_, _ = service.WriteTo([]byte("PONG a=1"), from)
		}
	}()
	address := service.LocalAddr().String()
	if status, stdout, stderr := runHere("--reply", "-H", address, "PING"); status != 0 || stdout != "PONG a=1\n" {
		t.Errorf("got %d, %q, %q", status, stdout, stderr)
	}
	if status, _, stderr := runHere("--reply", "-H", address, "--timeout", "20ms", "PING"); status != 1 || !strings.Contains(stderr, "no reply") {
		t.Errorf("of a silent one: got %d, %q", status, stderr)
	}
}

func TestConnectionRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	status, _, stderr := runHere("-t", "tcp", "-H", address, "PING")
	if status != 1 || !strings.Contains(stderr, "refused") || !strings.Contains(stderr, address) {
		t.Errorf("got %d, %q", status, stderr)
	}
}

func TestReplies(t *testing.T) {
	for _, tt := range []struct {
		reply, want string
		status      int
	}{
		{"PONG\r\n", "PONG\r\n", 0},
		{"not a message\nhalf", "not a message\n", 0},
		{"half", "", 0},
		{strings.Repeat("x", maxReply), "", 1},
	} {
		address, _ := tcpListener(t, tt.reply)
		status, stdout, stderr := runHere("-t", "tcp", "-r", "-H", address, "PING", "--timeout", "0")
		if status != tt.status || stdout != tt.want {
			t.Errorf("%.20q: got %d, %q, %q, want %d, %q", tt.reply, status, stdout, stderr, tt.status, tt.want)
		}
	}
}

func TestReadLinesByPieces(t *testing.T) {
	pieces := io.MultiReader(strings.NewReader("a"), strings.NewReader("b\nc\nd"), strings.NewReader("e\n"))
	if got, err := readLines(pieces); string(got) != "ab\nc\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for arg, want := range map[string]string{"--help": "--secret-code", "-h": "Usage:", "--version": "\n"} {
		if status, stdout, stderr := runHere(arg); status != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%s: got %d, %q, %q", arg, status, stdout, stderr)
		}
	}
}

func TestServerName(t *testing.T) {
	for hostname, want := range map[string]string{
		"":                  "",
		"vm":                "vm",
		"Web_1":             "Web_1",
		"web-1.example.com": "web_1",
		"1and1":             "_1and1",
		"été":               "_t_",
		".":                 "",
	} {
		if got := serverName(hostname); got != want {
			t.Errorf("%q: got %q, want %q", hostname, got, want)
		}
		address, received := udpListener(t)
		var out bytes.Buffer
		status := run([]string{"-H", address, "PING"}, environment{hostname: hostname, stdout: &out, stderr: &out})
		if got := received(); status != 0 || got != "<"+want+":ed_signal PING" {
			t.Errorf("%q: %d, %q, sent %q", hostname, status, &out, got)
		}
	}
}

func TestWithPort(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1",
		"127.0.0.1":   "127.0.0.1:4041",
		"localhost":   "localhost:4041",
		"[::1]:1":     "[::1]:1",
		"[::1]":       "[::1]:4041",
		"::1":         "[::1]:4041",
	} {
		if got := withPort(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func Example() {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }()

	// ed-signal --host ... ./LOG_ROTATE --param reason=daily
	args := []string{"--host", conn.LocalAddr().String(), "./LOG_ROTATE", "--param", "reason=daily"}
	fmt.Println(run(args, environment{hostname: "web1", stdout: os.Stdout, stderr: os.Stderr}))

	datagram := make([]byte, maxDatagram)
	n, _, err := conn.ReadFrom(datagram)
	fmt.Println(string(datagram[:n]), err)
	// Output:
	// 0
	// <web1:ed_signal ./LOG_ROTATE reason=daily <nil>
}
