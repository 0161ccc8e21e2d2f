package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// surroundings are what a run in this process gets besides its arguments.
type surroundings struct {
	hostname  string // "": vm
	variables map[string]string
	stdin     string
	config    string // in the place of the default configuration file
}

// run runs the program.
func (s surroundings) run(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	if s.hostname == "" {
		s.hostname = "vm"
	}
	status = runOn(cli.Env{
		Args:   args,
		Getenv: func(name string) string { return s.variables[name] },
		Stdin:  strings.NewReader(s.stdin),
		Stdout: &out,
		Stderr: &err,
	}, s.hostname, s.config)
	return status, out.String(), err.String()
}

func runHere(args ...string) (status int, stdout, stderr string) { return surroundings{}.run(args...) }

// sent is what a datagram peer gets of a run that has to succeed, without the sender.
func sent(t *testing.T, s surroundings, args ...string) string {
	t.Helper()
	p := startPeer(t, receiver.UDP, behaviour{})
	if status, _, stderr := s.run(append([]string{"-H", p.address}, args...)...); status != 0 {
		t.Fatalf("%q: status %d, %q", args, status, stderr)
	}
	return strings.TrimPrefix(p.got(), "<vm:ed_signal ")
}

// write makes a file in a folder of the test's own.
func write(tb testing.TB, text string) (file string) {
	tb.Helper()
	file = filepath.Join(tb.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// TestRecorded runs what was recorded of the C++ tool: the same arguments, the same bytes on the wire, the
// same exit status and standard output. They were recorded on a host named vm.
func TestRecorded(t *testing.T) {
	t.Run("here", func(t *testing.T) { testRecorded(t, "vm", runHere) })
	t.Run("program", func(t *testing.T) {
		hostname, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(tooltest.Build(t, "tools/ed-signal"), "ed-signal")
		testRecorded(t, serverName(hostname), func(args ...string) (int, string, string) {
			var stdout, stderr strings.Builder
			cmd := exec.Command(program, append([]string{"--config="}, args...)...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); cmd.ProcessState == nil {
				t.Fatal(err)
			}
			return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
		})
	})
}

func testRecorded(t *testing.T, server string, run func(args ...string) (status int, stdout, stderr string)) {
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
			network := receiver.UDP
			if slices.Contains(recorded.Args, receiver.TCP) {
				network = receiver.TCP
			}
			p := startPeer(t, network, behaviour{replies: []string{recorded.PeerReply}})
			args := slices.Clone(recorded.Args)
			for i, arg := range args {
				args[i] = strings.ReplaceAll(arg, "HOST:PORT", p.address)
			}
			status, stdout, stderr := run(args...)

			if slices.Contains(differences, recorded.Name) {
				recorded.ExitStatus, recorded.Output = 1, ""
			}
			recorded.Output = strings.Replace(recorded.Output, "<vm:", "<"+server+":", 1)
			if status != recorded.ExitStatus || stdout != recorded.Stdout {
				t.Errorf("got %d, %q, want %d, %q", status, stdout, recorded.ExitStatus, recorded.Stdout)
			}
			if recorded.Output == "" {
				if err := p.mark(); err != nil {
					t.Fatal(err)
				}
				recorded.Output = mark
			}
			if got := p.got(); got != recorded.Output {
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
		"THREE": {"-m", "TWO", "THREE"},
		"TWO":   {"ONE", "-m", "TWO"},
		"FOUR":  {"-m", "TWO", "--message=FOUR"},
		"A":     {"-m", "B", "--", "A"},
	} {
		if got := sent(t, surroundings{}, args...); got != want {
			t.Errorf("%q: sent %q", args, got)
		}
	}
}

// TestErrors: a line that says what, and nothing is sent.
func TestErrors(t *testing.T) {
	p := startPeer(t, receiver.UDP, behaviour{})
	garbage := write(t, "no certificate\n")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{}, "no message is given"},
		{[]string{""}, "command"},
		{[]string{"ONE", "-m", "TWO", "THREE"}, `"ONE" and "THREE" are two messages`},
		{[]string{"ONE", "TWO", "-m", "THREE"}, `"ONE" and "TWO" are two messages`},
		{[]string{"--nonsense", "PING"}, "--nonsense"},
		{[]string{"ping"}, `"ping"`},
		{[]string{"/PING"}, "no service"},
		{[]string{"a:/PING"}, "no service"},
		{[]string{":b/PING"}, "no server"},
		{[]string{"a-b/PING"}, `service "a-b"`},
		{[]string{"a/PING", "-S", "b"}, "--service: "},
		{[]string{"a:b/PING", "-s", "c"}, "--server: "},
		{[]string{"PING", "-S", "b c"}, `service "b c"`},
		{[]string{"PING", "-p", "a b=1"}, `parameter "a b"`},
		{[]string{"PING", "-p", `a=;\`}, "backslash"},
		{[]string{"PING", "-p", "b=2", "a=1"}, `"a=1" is no message`},
		{[]string{"-e", "false", "PING"}, `"false"`},
		{[]string{"PING", "-t", "sctp"}, "sctp"},
		{[]string{"PING", "--timeout", "-1s"}, "negative"},
		{[]string{"PING", "--timeout", "soon"}, "soon"},
		{[]string{"PING", "--expect", "pong"}, "--expect: "},
		{[]string{"PING", "--value", "a b"}, "--value: "},
		{[]string{"PING", "--value", "a", "--json"}, "exclude"},
		{[]string{"PING", "--encrypt"}, "--encrypt needs --type tcp, not udp"},
		{[]string{"PING", "--encrypt=perhaps"}, "none of true"},
		{[]string{"PING", "--encrypt=no", "--insecure=x"}, "none of true"},
		{[]string{"PING", "-t", "unix", "-H", "/x", "-e"}, "--encrypt needs --type tcp, not unix"},
		{[]string{"PING", "-t", "unixgram", "--insecure", "-H", "/x"}, "--insecure needs --type tcp"},
		{[]string{"PING", "--ca", garbage}, "--ca needs --type tcp"},
		{[]string{"PING", "-t", "tcp", "--ca", garbage}, "--ca needs --encrypt"},
		{[]string{"PING", "-t", "tcp", "--cert", garbage}, "--cert needs --encrypt"},
		{[]string{"PING", "-t", "tcp", "-e", "--cert", garbage}, "need each other"},
		{[]string{"PING", "-t", "tcp", "-e", "--key", garbage}, "need each other"},
		{[]string{"PING", "-t", "tcp", "-e", "--ca", garbage, "--insecure"}, "exclude"},
		{[]string{"PING", "-t", "tcp", "-e", "--ca", garbage}, "--ca: " + garbage + ": no certificates"},
		{[]string{"PING", "-t", "tcp", "-e", "--ca", "/missing"}, "--ca: open /missing: "},
		{[]string{"PING", "-t", "tcp", "-e", "--cert", garbage, "--key", garbage}, "--cert " + garbage},
		{[]string{"PING", "--secret-file", "/missing"}, "--secret-file: open /missing: "},
		{[]string{"PING", "-p", "a=" + strings.Repeat("x", receiver.MaxUDP)}, "over udp at most 1024"},
	} {
		status, stdout, stderr := runHere(append([]string{"-H", p.address}, tt.args...)...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: got %d, %q, %q, want 1 and %q", tt.args, status, stdout, stderr, tt.want)
		}
	}
	if status, _, stderr := runHere("-t", "unix", "PING"); status != 1 || !strings.Contains(stderr, "--type unix needs a --host") {
		t.Errorf("without a path: %d, %q", status, stderr)
	}
	if err := p.mark(); err != nil {
		t.Fatal(err)
	}
	if got := p.got(); got != mark {
		t.Errorf("sent %q", got)
	}
}

func TestLongestDatagram(t *testing.T) {
	for network, limit := range map[string]int{receiver.UDP: receiver.MaxUDP, receiver.Unixgram: receiver.MaxUnixgram} {
		p := startPeer(t, network, behaviour{})
		value := strings.Repeat("x", limit-len("<vm:ed_signal PING v="))
		status, _, stderr := runHere("-t", network, "-H", p.address, "PING", "-p", "v="+value)
		if got := p.got(); status != 0 || len(got) != limit {
			t.Errorf("%s: %d, %q, %d bytes sent", network, status, stderr, len(got))
		}
		status, _, stderr = runHere("-t", network, "-H", p.address, "PING", "-p", "v=y"+value)
		if want := fmt.Sprintf("%d bytes, a datagram over %s at most %d", limit+1, network, limit); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d, %q, want %q", network, status, stderr, want)
		}
	}
}

// TestDefaults pins what the manual page and the help promise.
func TestDefaults(t *testing.T) {
	tool := cli.New(cli.Config{Name: "test"}, cli.Env{})
	var o options
	o.define(tool)
	if o.timeout != 5*time.Second || o.network != "udp" || o.host != "127.0.0.1:4041" {
		t.Errorf("%v, %s, %s", o.timeout, o.network, o.host)
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
		if hostname == "" {
			continue
		}
		if got := sent(t, surroundings{hostname: hostname}, "PING"); got != strings.TrimPrefix("<"+want+":ed_signal PING", "<vm:ed_signal ") {
			t.Errorf("%q: sent %q", hostname, got)
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
	env := cli.Env{
		Args:   []string{"--host", conn.LocalAddr().String(), "./LOG_ROTATE", "--param", "reason=daily"},
		Getenv: func(string) string { return "" },
		Stdout: os.Stdout,
		Stderr: os.Stderr,
	}
	fmt.Println(runOn(env, "web1", ""))

	datagram := make([]byte, receiver.MaxUDP)
	n, _, err := conn.ReadFrom(datagram)
	fmt.Println(string(datagram[:n]), err)
	// Output:
	// 0
	// <web1:ed_signal ./LOG_ROTATE reason=daily <nil>
}
