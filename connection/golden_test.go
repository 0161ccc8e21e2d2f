//go:build linux

package connection_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// recordedClient is what a listener got from a client of the C++ library, and what that client has told.
type recordedClient struct {
	Kind, Name string
	Input      []string // the kind, the address, options, messages
	Output     string   // what it sent; a line --closed-- is the end of a connection
	Stdout     string   `json:"client_stdout"`
}

// onPurpose is where ours differs: what it sends instead, and why. In all other cases it sends the same bytes.
var onPurpose = map[string]struct{ sends, reason string }{
	"unix abstract: real client connects to a name 3 characters short": {
		"PING a=1\n--closed--\n", "the C++ library's clients cut the last characters off an abstract name; ours reaches its server",
	},
}

// recordedNow is the time of the recorded reply_timestamp.
var recordedNow = time.Unix(1795218395, 413207184)

const endOfConnection = "--closed--\n"

// TestRecordedClients: a Permanent sends what the C++ library's client has sent to a listener that says
// what the recording's listener said.
func TestRecordedClients(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "wire_clients.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range bytes.Lines(data) {
		var r recordedClient
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		t.Run(r.Name, func(t *testing.T) {
			want := r.Output
			if differs, ok := onPurpose[r.Name]; ok {
				want = differs.sends
				seen++
			}
			if got := replay(t, &r, want); got != want {
				t.Errorf("sent\n%q\nwant\n%q", got, want)
			}
		})
	}
	if seen != len(onPurpose) {
		t.Errorf("%d of %d differences were met", seen, len(onPurpose))
	}
}

// value is what follows an option.
func (r *recordedClient) value(option string) string {
	if i := slices.Index(r.Input, option); i >= 0 {
		return r.Input[i+1]
	}
	return ""
}

// messages are what it was told to send.
func (r *recordedClient) messages() (all []string) {
	for i := 2; i < len(r.Input); i++ {
		switch r.Input[i] {
		case "-n", "-t", "--service":
			i++
		case "--cache", "--nothread", "--tls":
		default:
			all = append(all, r.Input[i])
		}
	}
	return all
}

// recordedConn is a connection of a recording: what the listener has said, and whether it has then ended it.
type recordedConn struct {
	said []string
	ends bool
}

// connections are those of which the client has told.
func (r *recordedClient) connections() (all []recordedConn) {
	for line := range strings.Lines(r.Stdout) {
		line = strings.TrimSuffix(line, "\n")
		text, received := strings.CutPrefix(line, "RECV ")
		switch {
		case line == "CONNECTED":
			all = append(all, recordedConn{})
		case line == "HUP":
			all[len(all)-1].ends = true
		case received:
			all[len(all)-1].said = append(all[len(all)-1].said, text)
		}
	}
	if all == nil {
		all = []recordedConn{{said: []string{"PONG"}}} // that it never came to
	}
	return all
}

// listen plays the recording's listener, and returns a dialer that reaches it and what the listener will have got.
func (r *recordedClient) listen(t *testing.T, want string) (connection.Dialer, <-chan string) {
	t.Helper()
	network, address := "tcp", "127.0.0.1:0"
	if r.Kind == "client_unix" {
		network = "unix"
		dir, err := os.MkdirTemp("", "recorded") //nolint:usetesting // the test's name is too long for a socket's path
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		address = filepath.Join(dir, "s")
		if name, abstract := strings.CutPrefix(r.Input[1], "@"); abstract {
			address = "@" + name + filepath.Base(dir)
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var dialer connection.Dialer = unixsock.Dialer{Path: address}
	if network == "tcp" {
		over := tcp.Dialer{Address: l.Addr().String()}
		if slices.Contains(r.Input, "--tls") {
			authority := tlstest.NewAuthority(t)
			over.TLS = &tls.Config{RootCAs: authority.Pool()}
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, "127.0.0.1")}})
		}
		dialer = over
	}
	got := make(chan string, 1)
	go func() {
		var all strings.Builder
		sent := strings.Split(want, endOfConnection)
		for i, c := range r.connections() {
			conn, err := l.Accept()
			if err != nil {
				all.WriteString(err.Error())
				break
			}
			_ = conn.SetDeadline(time.Now().Add(looptest.Patience))
			c.play(conn, &all, strings.Count(sent[min(i, len(sent)-1)], "\n"))
			all.WriteString(endOfConnection)
		}
		got <- all.String()
	}()
	return dialer, got
}

// play says what was recorded when the first line has come, and ends the connection, if that was recorded,
// after so many lines.
func (c *recordedConn) play(conn net.Conn, got io.StringWriter, lines int) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for i := range lines {
		line, err := r.ReadString('\n')
		_, _ = got.WriteString(line)
		if err != nil {
			return
		}
		if i == 0 {
			_, _ = io.WriteString(conn, strings.Join(c.said, "\n")+"\n")
		}
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && c.ends {
		_ = half.CloseWrite()
	}
	rest, _ := io.ReadAll(r)
	_, _ = got.WriteString(string(rest))
}

// lateDialer finds nobody at first.
type lateDialer struct {
	absent, present connection.Dialer
	failures        int
}

func (d *lateDialer) Dial(loop connection.Loop, done func(connection.Transport, error)) (func(), error) {
	if d.failures--; d.failures >= 0 {
		return d.absent.Dial(loop, done)
	}
	return d.present.Dial(loop, done)
}

// replay lets a Permanent do what the recorded client was told to do, and returns what it has sent.
func replay(t *testing.T, r *recordedClient, want string) string {
	t.Helper()
	loop, _ := looptest.New(t)
	dialer, got := r.listen(t, want)
	cached := slices.Contains(r.Input, "--cache")
	if cached {
		late := &lateDialer{absent: tcp.Dialer{Address: closedPort(t).String()}, present: dialer, failures: 3}
		if over, ok := dialer.(unixsock.Dialer); ok {
			late.absent = unixsock.Dialer{Path: over.Path + "-absent"}
		}
		dialer = late
	}
	var p *connection.Permanent
	mux := dispatcher.New(dispatcher.Config{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return recordedNow }})
	if err := mux.AddDefaults(dispatcher.Service{Stop: func(bool) { p.Close() }}); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"ABSOLUTELY", "COMMANDS", "NEWS", "PONG"} { // which the recording's program handles
		mux.HandleFunc(command, func(message.Sender, *message.Message) error { return nil })
	}
	left, _ := strconv.Atoi(r.value("-n")) // without one it ends with the last connection
	config := connection.PermanentConfig{Backoff: again}
	if service := r.value("--service"); service != "" {
		config.Message.Opened = func(c *connection.MessageConn) error { return c.Send(message.NewRegister(service)) }
	}
	failures := 0
	config.OnAttemptFailed = func(*connection.Permanent, error, time.Duration) { failures++ }
	config.OnUp = func(p *connection.Permanent) error {
		if !cached {
			say(t, p, r.messages()...)
		}
		return nil
	}
	config.OnDown = func(p *connection.Permanent, _ error) {
		if p.Connections() == uint64(len(r.connections())) {
			p.Close()
		}
	}
	var err error
	p, err = connection.NewPermanent(loop, dialer, message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		if left--; left == 0 {
			p.Close()
		}
		return mux.HandleMessage(from, m)
	}), config)
	if err != nil {
		t.Fatal(err)
	}
	if cached {
		say(t, p, r.messages()...)
	}
	run(t, loop)
	if cached && failures != 3 {
		t.Errorf("%d attempts failed before the listener was there", failures)
	}
	return looptest.Await(t, got, "the listener")
}
