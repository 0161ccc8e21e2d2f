package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

// TestReplies: what a peer sends, what is printed of it and how it ends, over all types that it makes sense for.
func TestReplies(t *testing.T) {
	streams, all := []string{receiver.TCP, receiver.Unix}, receiver.Networks()
	datagrams := []string{receiver.UDP, receiver.Unixgram}
	for _, tt := range []struct {
		name     string
		networks []string
		args     []string
		b        behaviour
		status   int
		stdout   string
		stderr   string // a piece of it
	}{
		{"a line", all, []string{"-r"}, behaviour{replies: []string{"PONG a=1\n"}}, 0, "PONG a=1\n", ""},
		{"with CR", all, []string{"-r"}, behaviour{replies: []string{"PONG\r\n"}}, 0, "PONG\r\n", ""},
		{"without LF", datagrams, []string{"-r"}, behaviour{replies: []string{"PONG a=1"}}, 0, "PONG a=1\n", ""},
		{"any bytes", all, []string{"-r"}, behaviour{replies: []string{"no message \x00\x1b\xff\n"}}, 0, "no message \x00\x1b\xff\n", ""},
		{"blank ones first", all, []string{"-r"}, behaviour{replies: []string{"\n", " \r\n", "", "PONG\n"}}, 0, "PONG\n", ""},
		{"a line and a half", streams, []string{"-r"}, behaviour{replies: []string{"PONG\nhalf"}}, 0, "PONG\n", ""},
		{"half a line", streams, []string{"-r"}, behaviour{replies: []string{"half"}}, 1, "", "hung up in the middle of a line"},
		{"no line", streams, []string{"-r"}, behaviour{}, 0, "", ""},
		{"a blank line only", streams, []string{"-r"}, behaviour{replies: []string{"\n"}}, 0, "", ""},
		{"no line, wanted as JSON", streams, []string{"-j"}, behaviour{}, 1, "", "no reply: the other side hung up"},
		{"no line, a value wanted", streams, []string{"-v", "a"}, behaviour{}, 1, "", "no reply: the other side hung up"},
		{"no line, a command wanted", streams, []string{"-x", "PONG"}, behaviour{}, 1, "", "no PONG: the other side hung up"},
		{"whose end waits for ours", streams, nil, behaviour{hold: true}, 0, "", ""},
		{"the held line", streams, []string{"-r"}, behaviour{replies: []string{"PONG\n"}, hold: true}, 0, "PONG\n", ""},

		{"INVALID", all, []string{"-r"}, behaviour{replies: []string{"INVALID command=PING;message=no\x1b\n"}}, 1,
			"INVALID command=PING;message=no\x1b\n", `refused: INVALID command=PING;message=no\x1b`},
		{"UNKNOWN", all, []string{"-r"}, behaviour{replies: []string{"<a:b UNKNOWN command=PING\n"}}, 1, "<a:b UNKNOWN command=PING\n", "refused: "},
		{"SERVICE_UNAVAILABLE", all, []string{"-r"}, behaviour{replies: []string{"SERVICE_UNAVAILABLE\n"}}, 1, "SERVICE_UNAVAILABLE\n", "refused: "},
		{"UNKNOWN behind", streams, []string{"-r"}, behaviour{replies: []string{"READY\nUNKNOWN\n"}}, 1, "READY\nUNKNOWN\n", "refused: "},
		{"not asked for", streams, nil, behaviour{replies: []string{"UNKNOWN\n"}}, 0, "", ""},
		{"UNKNOWN as JSON", all, []string{"-j"}, behaviour{replies: []string{"UNKNOWN\n"}}, 1, `{"command":"UNKNOWN"}` + "\n", "refused: "},
		{"UNKNOWN, a value wanted", all, []string{"-v", "a"}, behaviour{replies: []string{"UNKNOWN a=1\n"}}, 1, "", "refused: "},
		{"UNKNOWN is what is expected", all, []string{"-x", "UNKNOWN"}, behaviour{replies: []string{"UNKNOWN\n"}}, 0, "UNKNOWN\n", ""},
		{"UNKNOWN is not what is expected", all, []string{"-x", "PONG"}, behaviour{replies: []string{"READY\n", "UNKNOWN\n", "PONG\n"}}, 1, "READY\nUNKNOWN\n", "refused: "},

		{"expected", all, []string{"-x", "PONG"}, behaviour{replies: []string{"<a:b c/PONG\n"}}, 0, "<a:b c/PONG\n", ""},
		{"expected, later", all, []string{"-x", "PONG"}, behaviour{replies: []string{"READY\n", "what?\n", "HELP\n", "PONG\n", "MORE\n"}}, 0, "PONG\n", ""},
		{"expected, never", streams, []string{"-x", "PONG"}, behaviour{replies: []string{"READY\n", "WHAT\n"}}, 1, "READY\nWHAT\n", "no PONG: the other side hung up"},
		{"expected, half", streams, []string{"-x", "PONG"}, behaviour{replies: []string{"READY\nPONG"}}, 1, "READY\n", "middle of a line"},
		{"expected, as JSON", all, []string{"-x", "PONG", "-j"}, behaviour{replies: []string{"READY\n", "PONG a=1\n"}}, 0, `{"command":"PONG","parameters":{"a":"1"}}` + "\n", ""},
		{"expected, a value", all, []string{"-x", "PONG", "-v", "a"}, behaviour{replies: []string{"READY a=2\n", "PONG a=1\n"}}, 0, "1\n", ""},
		{"JSON", all, []string{"-j"}, behaviour{replies: []string{"<s:t u:v/PONG a=x;b=\"1;2\"\n"}}, 0,
			`{"sent-from-server":"s","sent-from-service":"t","server":"u","service":"v","command":"PONG","parameters":{"a":"x","b":"1;2"}}` + "\n", ""},
		{"JSON of JSON", all, []string{"-j"}, behaviour{replies: []string{` { "command" : "PONG" } ` + "\n"}}, 0, `{"command":"PONG"}` + "\n", ""},
		{"JSON, one reply", streams, []string{"-j"}, behaviour{replies: []string{"PONG\nMORE\n"}}, 0, `{"command":"PONG"}` + "\n", ""},
		{"JSON of what isn't UTF-8", all, []string{"-j"}, behaviour{replies: []string{"PONG a=\xff\n"}}, 1, "", "the reply: "},
		{"JSON of no message", all, []string{"-j"}, behaviour{replies: []string{"a=1\n"}}, 1, "", "the reply: "},
		{"JSON of a command in lower case", all, []string{"-j"}, behaviour{replies: []string{"pong\n"}}, 1, "", "the reply: "},
		{"a value", all, []string{"-v", "text"}, behaviour{replies: []string{`STATUS_REPORT text=one\ntwo\\three;other=1` + "\n"}}, 0, "one\ntwo\\three\n", ""},
		{"a value with its line feed", all, []string{"-v", "a"}, behaviour{replies: []string{`X a=one\n` + "\n"}}, 0, "one\n", ""},
		{"an empty value", all, []string{"-v", "a"}, behaviour{replies: []string{"X a=\n"}}, 0, "\n", ""},
		{"a missing value", all, []string{"-v", "a"}, behaviour{replies: []string{"X b=1\n"}}, 1, "", "X has no parameter a"},
		{"a value of no message", all, []string{"-v", "a"}, behaviour{replies: []string{"a=1\n"}}, 1, "", "the reply: "},
		{"reset", []string{receiver.TCP}, []string{"-r"}, behaviour{reset: true}, 1, "", "connection reset"},
		{"reset, no reply asked for", []string{receiver.TCP}, nil, behaviour{reset: true}, 1, "", "connection reset"},
		{"reset in a line", []string{receiver.TCP}, []string{"-x", "PONG"}, behaviour{replies: []string{"PON"}, reset: true}, 1, "", "connection reset"},
	} {
		for _, network := range tt.networks {
			t.Run(tt.name+" "+network, func(t *testing.T) {
				p := startPeer(t, network, tt.b)
				// No test fails because the machine is slow.
				args := append([]string{"-t", network, "-H", p.address, "--timeout", "0", "PING"}, tt.args...)
				status, stdout, stderr := runHere(args...)
				if status != tt.status || stdout != tt.stdout || (stderr != "") != (tt.stderr != "") || !strings.Contains(stderr, tt.stderr) {
					t.Errorf("got %d, %q, %q", status, stdout, stderr)
				}
				if strings.Count(stderr, "\n") > 1 {
					t.Errorf("more than a line: %q", stderr)
				}
			})
		}
	}
}

// TestLongReplies: a reply of 1 MiB is fine, one that never ends isn't.
func TestLongReplies(t *testing.T) {
	long := "PONG a=" + strings.Repeat("x", 1<<20-8) + "\n"
	for _, network := range []string{receiver.TCP, receiver.Unix} {
		p := startPeer(t, network, behaviour{replies: []string{long}})
		status, stdout, stderr := runHere("-t", network, "-H", p.address, "PING", "-r", "--timeout", "0")
		if status != 0 || stdout != long {
			t.Errorf("%s: %d, %d bytes, %q", network, status, len(stdout), stderr)
		}
		status, stdout, stderr = runHere("-t", network, "-H", p.address, "PING", "-j", "--timeout", "0")
		if status != 0 || len(stdout) != len(`{"command":"PONG","parameters":{"a":""}}`)+1<<20-7 {
			t.Errorf("%s: %d, %d bytes of JSON, %q", network, status, len(stdout), stderr)
		}
	}

	endless := startPeer(t, receiver.TCP, behaviour{replies: []string{strings.Repeat("x", maxReply+1)}, hold: true})
	if status, stdout, stderr := runHere("-t", "tcp", "-H", endless.address, "PING", "-r", "--timeout", "0"); status != 1 || stdout != "" || !strings.Contains(stderr, "longer than 4194304 bytes") {
		t.Errorf("%d, %d bytes, %q", status, len(stdout), stderr)
	}
	// Nor do lines that aren't what is awaited.
	ready := "READY a=" + strings.Repeat("x", 4087) + "\n"
	flood := startPeer(t, receiver.TCP, behaviour{replies: []string{strings.Repeat(ready, maxReply/len(ready)+1)}, hold: true})
	if status, _, stderr := runHere("-t", "tcp", "-H", flood.address, "PING", "-x", "PONG", "--timeout", "0"); status != 1 || !strings.Contains(stderr, "longer than") {
		t.Errorf("%d, %q", status, stderr)
	}
	unread := startPeer(t, receiver.TCP, behaviour{replies: []string{strings.Repeat("x", maxReply+1)}, hold: true})
	if status, _, stderr := runHere("-t", "tcp", "-H", unread.address, "PING", "--timeout", "0"); status != 0 || stderr != "" {
		t.Errorf("not asked for: %d, %q", status, stderr)
	}
	var datagrams []string
	for range maxReply/maxReplyDatagram + 1 {
		datagrams = append(datagrams, "READY a="+strings.Repeat("x", maxReplyDatagram-8))
	}
	stream := startPeer(t, receiver.Unixgram, behaviour{replies: datagrams})
	if status, _, stderr := runHere("-t", "unixgram", "-H", stream.address, "PING", "-x", "PONG", "--timeout", "60"); status != 1 || !strings.Contains(stderr, "longer than 4194304 bytes") {
		t.Errorf("datagrams: %d, %q", status, stderr)
	}
	big := startPeer(t, receiver.Unixgram, behaviour{replies: []string{strings.Repeat("x", maxReplyDatagram+1)}})
	if status, _, stderr := runHere("-t", "unixgram", "-H", big.address, "PING", "-r", "--timeout", "0"); status != 1 || !strings.Contains(stderr, "longer than 65536 bytes") {
		t.Errorf("a datagram: %d, %q", status, stderr)
	}
}

// TestTimeouts: nothing takes longer than --timeout.
func TestTimeouts(t *testing.T) {
	full := startPeer(t, receiver.Unixgram, behaviour{deaf: true})
	fill(t, full.address)
	crowded := map[string]*peer{receiver.TCP: startPeer(t, receiver.TCP, behaviour{deaf: true}), receiver.Unix: startPeer(t, receiver.Unix, behaviour{deaf: true})}
	for network, p := range crowded {
		crowd(t, network, p)
	}
	for _, tt := range []struct {
		name, network, address string
		args                   []string
		status                 int
		stderr                 string
	}{
		{"tcp, no reply", receiver.TCP, startPeer(t, receiver.TCP, behaviour{hold: true}).address, []string{"-r"}, 1, "no reply within 200ms"},
		{"tcp, not accepted", receiver.TCP, startPeer(t, receiver.TCP, behaviour{deaf: true}).address, []string{"-r"}, 1, "no reply within 200ms"},
		{"tcp, no room", receiver.TCP, crowded[receiver.TCP].address, nil, 1, "no connection within 200ms"},
		{"unix, no room", receiver.Unix, crowded[receiver.Unix].address, nil, 1, "no connection within 200ms"},
		{"tcp, no handshake", receiver.TCP, startPeer(t, receiver.TCP, behaviour{deaf: true}).address, []string{"-e"}, 1, "no TLS handshake within 200ms"},
		{"tcp, sent", receiver.TCP, startPeer(t, receiver.TCP, behaviour{deaf: true}).address, nil, 0, ""},
		{"unix, no reply", receiver.Unix, startPeer(t, receiver.Unix, behaviour{hold: true}).address, []string{"-r"}, 1, "no reply within 200ms"},
		{"unix, half a line", receiver.Unix, startPeer(t, receiver.Unix, behaviour{replies: []string{"PON"}, hold: true}).address, []string{"-r"}, 1, "no reply within 200ms"},
		{"unix, sent", receiver.Unix, startPeer(t, receiver.Unix, behaviour{deaf: true}).address, nil, 0, ""},
		{"udp, no reply", receiver.UDP, startPeer(t, receiver.UDP, behaviour{}).address, []string{"-r"}, 1, "no reply within 200ms"},
		{"udp, another reply", receiver.UDP, startPeer(t, receiver.UDP, behaviour{replies: []string{"READY"}}).address, []string{"-x", "PONG"}, 1, "no PONG within 200ms"},
		{"unixgram, no reply", receiver.Unixgram, startPeer(t, receiver.Unixgram, behaviour{}).address, []string{"-j"}, 1, "no reply within 200ms"},
		{"unixgram, full", receiver.Unixgram, full.address, nil, 1, "the message was not taken within 200ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			status, _, stderr := runHere(append(tt.args, "-t", tt.network, "-H", tt.address, "--timeout", "200ms", "PING")...)
			if status != tt.status || (stderr != "") != (tt.stderr != "") || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("got %d, %q", status, stderr)
			}
			if took := time.Since(start); took < 200*time.Millisecond {
				t.Errorf("gave up after %v", took)
			}
		})
	}
}

// fill fills the queue of a datagram socket that nobody reads.
func fill(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial(receiver.Unixgram, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for err == nil {
		// Long enough for a datagram that there is room for, on the slowest machine.
		_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = conn.Write([]byte("X"))
	}
	if !timedOut(err) {
		t.Fatal(err)
	}
}

// crowd fills the queue of a socket that accepts no connection.
func crowd(t *testing.T, network string, p *peer) {
	t.Helper()
	raw, err := p.listener.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.Listen(int(fd), 0) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	for err == nil {
		var conn net.Conn
		if conn, err = net.DialTimeout(network, p.address, 100*time.Millisecond); err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
	}
}

// TestWaitsForRoom: a Unix socket gets the connection as soon as there is room.
func TestWaitsForRoom(t *testing.T) {
	p := startPeer(t, receiver.Unix, behaviour{deaf: true})
	crowd(t, receiver.Unix, p)
	log := make(logWriter, 100)
	ended := make(chan int)
	go func() {
		ended <- runOn(cli.Env{
			Args:   []string{"-t", receiver.Unix, "-H", p.address, "--timeout", "0", "--log-level", "debug", "PING"},
			Getenv: func(string) string { return "" },
			Stdout: io.Discard,
			Stderr: log,
		}, "vm", "")
	}()
	for line := range log {
		if strings.Contains(line, "queue") {
			break
		}
	}
	for _, want := range []string{"", "<vm:ed_signal PING\n"} {
		conn, err := p.listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if want != "" {
			if got, err := bufio.NewReader(conn).ReadString('\n'); got != want {
				t.Errorf("got %q, %v", got, err)
			}
		}
		_ = conn.Close()
	}
	if status := <-ended; status != 0 {
		t.Errorf("status %d", status)
	}
}

// logWriter hands lines of a log to a test.
type logWriter chan string

func (w logWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// TestNobodyThere: an error at once, whatever the time limit.
func TestNobodyThere(t *testing.T) {
	for _, network := range receiver.Networks() {
		for _, reply := range []string{"--reply=no", "--reply"} {
			p := startPeer(t, network, behaviour{deaf: true})
			p.close()
			status, _, stderr := runHere("-t", network, "-H", p.address, "--timeout", "0", reply, "PING")
			if network == receiver.UDP && reply == "--reply=no" {
				if status != 0 || stderr != "" {
					t.Errorf("udp: nothing is awaited, but %d, %q", status, stderr)
				}
				continue
			}
			if status != 1 || !strings.Contains(stderr, p.address) ||
				!strings.Contains(stderr, "refused") && !strings.Contains(stderr, "no such file") {
				t.Errorf("%s %s: got %d, %q", network, reply, status, stderr)
			}
		}
	}
}

func TestPrintFails(t *testing.T) {
	p := startPeer(t, receiver.TCP, behaviour{replies: []string{"UNKNOWN\n"}})
	var stderr bytes.Buffer
	status := runOn(cli.Env{
		Args:   []string{"-t", "tcp", "-r", "-H", p.address, "PING"},
		Getenv: func(string) string { return "" },
		Stdout: failingWriter{},
		Stderr: &stderr,
	}, "vm", "")
	if status != 1 || !strings.Contains(stderr.String(), "no room") || !strings.Contains(stderr.String(), "refused") {
		t.Errorf("%d, %q", status, &stderr)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestForTerminal(t *testing.T) {
	const reply = "PONG a=\x1b]0;title\a\x9b2J\r\nM\tORE\u202e\x00\rx\n\xff"
	const want = `PONG a=\x1b]0;title\a\x9b2J` + "\n" + `M\tORE\u202e\x00\rx` + "\n" + `\xff` + "\n"
	if got := forTerminal([]byte(reply)); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLinesByPieces(t *testing.T) {
	pieces := io.MultiReader(strings.NewReader("a"), strings.NewReader("b\n\nc\nd"), strings.NewReader("e\n"))
	l := &lineReader{r: pieces}
	for _, want := range [][]string{{"ab\n", "c\n"}, {"de\n"}, nil} {
		got, err := l.next()
		if len(got) != len(want) || errors.Is(err, io.EOF) != (want == nil) {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
		for i := range want {
			if string(got[i]) != want[i] {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
}

// FuzzLines: however the bytes are cut, the lines are those of the whole text.
func FuzzLines(f *testing.F) {
	f.Add([]byte("PONG a=1\nMORE\n"), uint8(3))
	f.Add([]byte("\n \r\nPONG\r\nhalf"), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		l := &lineReader{r: &chunks{text: text, size: int(size) + 1}}
		var got []byte
		var err error
		for {
			var lines [][]byte
			if lines, err = l.next(); err != nil {
				break
			}
			for _, line := range lines {
				if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("\n")) || blank(line) {
					t.Fatalf("a line: %q", line)
				}
				got = append(got, line...)
			}
			forTerminal(got)
		}
		end := bytes.LastIndexByte(text, '\n') + 1
		if want := bytes.Join(splitLines(text[:end]), nil); !bytes.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if half := end < len(text); half != errors.Is(err, errHalfLine) || !half && !errors.Is(err, io.EOF) {
			t.Errorf("%q ends with %v", text, err)
		}
		if printable := forTerminal(text); !utf8.Valid(printable) || bytes.ContainsAny(printable, "\x00\x07\x1b\r") {
			t.Errorf("not printable: %q", printable)
		}
	})
}

// chunks reads a text in pieces.
type chunks struct {
	text []byte
	size int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.text[:min(c.size, len(c.text))])
	c.text = c.text[n:]
	return n, nil
}
