//go:build linux

package connection_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

// service answers PING by PONG with the same parameters, FETCH with its id, which has to be an integer, by
// USER, and the default commands. Its clock stands still.
func service(tb testing.TB) *dispatcher.Mux {
	tb.Helper()
	set, err := definition.Load(definition.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	err = set.Add(&definition.Definition{Command: "FETCH", Parameters: []definition.Parameter{
		{Name: "id", Type: definition.Integer, Required: true},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	mux := dispatcher.New(dispatcher.Config{
		Logger:      slog.New(slog.DiscardHandler),
		Definitions: set,
		Now:         func() time.Time { return time.Unix(12, 34) },
	})
	for command, reply := range map[string]string{"PING": "PONG", "FETCH": "USER"} {
		mux.HandleFunc(command, func(from message.Sender, m *message.Message) error {
			answer := m.Reply(reply)
			for name, value := range m.Parameters() {
				answer.Set(name, value)
			}
			return from.Send(answer)
		})
	}
	if err := mux.AddDefaults(dispatcher.Service{Name: "demo"}); err != nil {
		tb.Fatal(err)
	}
	return mux
}

// matches compares with a line that may end in a star, for any text.
func matches(got, want string) bool {
	if start, found := strings.CutSuffix(want, "*"); found {
		return strings.HasPrefix(got, start) && len(got) > len(start)
	}
	return got == want
}

// crashers is what each input that ends a server of the C++ library, or shows that it does not, is
// answered with here; nothing for what is sent besides the PING at its end.
var crashers = map[string][]string{
	"first unknown command with a bad name": {`INVALID message=message: command "A-B" at byte 0: *`},
	"bad name after a first good unknown":   {"UNKNOWN command=FOO", `INVALID message=message: command "A-B" at byte 0: *`},
	"bad sent_from server name in HELP":     {`INVALID message=message: sent_from_server "a-b" at byte 1: *`},
	"bad sent_from dot name":                {`INVALID message=message: sent_from_server "host.example.com" at byte 1: *`},
	"invalid utf8 JSON":                     {"INVALID message=message: at byte *"},
	"empty command JSON":                    {`INVALID message=message: command "" at byte *`},
	"JSON without command":                  {`INVALID message=message: command "": *`},
	"READY with a bad address":              {`INVALID command=READY;message=READY: parameter "my_address": *`},
	"JSON parameter name not valid":         {`INVALID message=message: parameter "a b" at byte *`},

	// These are not recorded.
	"JSON with a byte that is not UTF-8": {"INVALID message=message: at byte *"},
	"NUL":                                {"INVALID message=message: at byte *"},
	"deep":                               {"INVALID message=message: at byte *"},
	"two thousand parameters":            {"INVALID message=message: at byte *"},
	"a long name":                        {"INVALID message=message: command *"},
	"wrong parameters":                   {"INVALID command=FETCH;message=*", "web:shop/INVALID command=FETCH;message=*"},
	"wrong refusals":                     {},
}

type recorded struct {
	Name  string
	Input []string
}

func readCrashers(tb testing.TB) []recorded {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "wire_crash.jsonl"))
	if err != nil {
		tb.Fatal(err)
	}
	all := []recorded{
		{"JSON with a byte that is not UTF-8", []string{"{\"command\":\"PING\",\"parameters\":{\"a\":\"\xff\"}}\n", "PING\n"}},
		{"NUL", []string{"PING a=x\x00y\n", "PING\n"}},
		{"deep", []string{strings.Repeat(`{"parameters":`, 10_000) + "\n", "PING\n"}},
		{"two thousand parameters", []string{"PING " + strings.Repeat("a=1;", 2000) + "\n", "PING\n"}},
		{"a long name", []string{strings.Repeat("A", 100_000) + "\n", "PING\n"}},
		{"wrong parameters", []string{"FETCH id=x\n<web:shop FETCH\n", "PING\n"}},
		{"wrong refusals", []string{"INVALID command=\nUNKNOWN message=;command=\n", "PING\n"}},
	}
	for line := range bytes.Lines(data) {
		var r recorded
		if err := json.Unmarshal(line, &r); err != nil {
			tb.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// TestWhatEndsOtherServers: on one connection everything that has ended a server comes, and each is
// followed by a PING that is answered, there and on another connection.
func TestWhatEndsOtherServers(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			loop, _ := looptest.New(t)
			l, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			mux := service(t)
			listener := listenOn(t, loop, l, connection.Messages(mux, connection.MessageConfig{}), connection.ListenConfig{})
			addr := listener.Addr()
			start(t, loop)
			conn, other := dial(t, addr), dial(t, addr)
			replies := bufio.NewReader(conn)
			seen := 0
			for _, r := range readCrashers(t) {
				want, found := crashers[r.Name]
				if !found || len(r.Input) < 2 || r.Input[len(r.Input)-1] != "PING\n" {
					t.Errorf("%s: not in the table, or no PING at the end", r.Name)
				}
				seen++
				send(t, conn, strings.Join(r.Input, ""))
				for _, want := range append(slices.Clone(want), "PONG") {
					got, err := replies.ReadString('\n')
					if err != nil {
						t.Fatalf("%s: %v", r.Name, err)
					}
					if _, err := message.Parse(got); err != nil || !matches(strings.TrimSuffix(got, "\n"), want) {
						t.Errorf("%s: answered %.200q, %v, want %s", r.Name, got, err, want)
					}
				}
				send(t, other, "PING a=b\n")
				expect(t, other, "PONG a=b\n")
			}
			if seen != len(crashers) || mux.Unhandled() != 1 || mux.Refused() != 5 {
				t.Errorf("%d inputs, want %d; %d unhandled, %d refused", seen, len(crashers), mux.Unhandled(), mux.Refused())
			}
		})
	}
}

// conversation is what a peer sends, and what it gets for it: "" for no answer.
var conversation = []struct{ line, reply string }{
	{"PING\n", "PONG"},
	{"PING a=1;b=two words\n", "PONG a=1;b=two words"},
	{"PING a=\"x;y\";b=1\r\n", `PONG a="x;y";b=1`},
	{"PING a=\"say \\\"hi\\\"\"\n", `PONG a=say "hi"`},
	{"PING a=\"\\\"hi\\\";\"\r\n", `PONG a="\"hi\";"`},
	{"PING a=one\\ntwo\\\\three\\r\\t\n", `PONG a=one\ntwo\\three\r\\t`},
	{"\n", ""},
	{"\r\n", ""},
	{"  \t \n", ""},
	{"<web:shop PING\n", "web:shop/PONG"},
	{"<web:shop db1:store/PING z=1;y=2;\r\n", "web:shop/PONG y=2;z=1"},
	{" \tPING a=b \t\n", "PONG a=b"},
	{`{"command":"PING","parameters":{"a":"1","b":true,"c":1.50,"d":null}}` + "\n", "PONG a=1;b=true;c=1.50;d="},
	{`{"sent-from-server":"web","sent-from-service":"shop","command":"PING","parameters":{"a":"x;\n\"\u00e9"}}` + "\r\n", `web:shop/PONG a="x;\n\"é"`},
	{` { "command" : "DANCE" , "server":"db1" } ` + "\n", "UNKNOWN command=DANCE"},
	{"ping\n", "INVALID message=*"},
	{"{\"command\":\"PING\"\n", "INVALID message=*"},
	{"{\"command\":\"PING\",\"parameters\":{\"a\":[1]}}\r\n", "INVALID message=*"},
	{"PING a\n", "INVALID message=*"},
	{"PING a=\"x\"y\n", "INVALID message=*"},
	{"PING \x00\r\n", "INVALID message=*"},
	{"HELP\n", "COMMANDS list=ALIVE,FETCH,HELP,INVALID,LEAK,LOG_ROTATE,PING,QUITTING,READY,RESTART,SERVICE_UNAVAILABLE,STOP,UNKNOWN"},
	{"ALIVE serial=7\r\n", "ABSOLUTELY reply_timestamp=12.000000034;serial=7"},
	{"FETCH id=1\n", "USER id=1"},
	{"FETCH\n", "INVALID command=FETCH;message=*"},
	{"<a:b FETCH id=\"x\"\r\n", "a:b/INVALID command=FETCH;message=*"},
	{`{"command":"FETCH","parameters":{"id":12}}` + "\n", "USER id=12"},
	{"INVALID command=PING;message=no\n", ""},
	{"INVALID command=\n", ""},
	{"READY\r\n", ""},
	{"PING a=\n", "PONG a="},
	{"PING a=\"x \"\n", `PONG a="x "`},
	{"PING a=\xff\u00a0\"\n", "PONG a=\xff\u00a0\""},
	{"PING last=1\r\n", "PONG last=1"},
}

// exchange is what has become of a connection.
type exchange struct{ handled, replies, cause string }

// exchanges puts connections on a loop, each with its input in pieces, and returns what they have handled and answered.
func exchanges(tb testing.TB, h message.Handler, config connection.MessageConfig, inputs ...[]string) []exchange {
	tb.Helper()
	loop, _ := looptest.New(tb)
	all := make([]exchange, len(inputs))
	transports := make([]*pieces, len(inputs))
	for i, input := range inputs {
		transports[i] = newPieces(tb, input...)
		config.Closed = func(_ *connection.MessageConn, cause error) { all[i].cause = fmt.Sprint(cause) }
		recording := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
			all[i].handled += m.String() + "\n"
			return h.HandleMessage(from, m)
		})
		if _, err := connection.NewMessageConn(loop, transports[i], recording, config); err != nil {
			tb.Fatal(err)
		}
	}
	run(tb, loop)
	for i, transport := range transports {
		all[i].replies = transport.out.String()
	}
	return all
}

// TestConversation: how a conversation is cut changes nothing.
func TestConversation(t *testing.T) {
	mux := service(t)
	var text strings.Builder
	var want []string
	for _, exchange := range conversation {
		text.WriteString(exchange.line)
		if exchange.reply != "" {
			want = append(want, exchange.reply)
		}
	}
	input := text.String()
	whole := exchanges(t, mux, connection.MessageConfig{}, []string{input})[0]
	got := strings.Split(strings.TrimSuffix(whole.replies, "\n"), "\n")
	if whole.cause != "<nil>" || !slices.EqualFunc(got, want, matches) {
		t.Fatalf("ended with %s; want (-), got (+):\n%s", whole.cause, cmp.Diff(want, got))
	}
	inputs := [][]string{strings.SplitAfter(input, "\n"), strings.SplitAfter(input, "\r")}
	single := make([]string, len(input))
	for i := range len(input) {
		single[i] = input[i : i+1]
		inputs = append(inputs, cut(input, i))
	}
	for batch := range slices.Chunk(append(inputs, single), 100) { // each has a descriptor
		for i, got := range exchanges(t, mux, connection.MessageConfig{}, batch...) {
			if diff := cmp.Diff(whole, got, cmp.AllowUnexported(exchange{})); diff != "" {
				t.Errorf("the first piece has %d bytes: want (-), got (+):\n%s", len(batch[i][0]), diff)
			}
		}
	}
}

// FuzzConversation: whatever comes, however it is cut, the same messages are handled and the same replies
// are written, as when it comes at once.
func FuzzConversation(f *testing.F) {
	var text strings.Builder
	for i, exchange := range conversation {
		f.Add([]byte(exchange.line), uint64(i), uint16(0))
		text.WriteString(exchange.line)
	}
	f.Add([]byte(text.String()), uint64(1), uint16(0))
	f.Add([]byte(text.String()+"PING unfinished=1"), uint64(2), uint16(100))
	f.Add([]byte(`{"command":"PING","parameters":{"a":"\u0000"}}`+"\nPING\n"), uint64(3), uint16(0)) // a reply that can't be sent
	f.Add([]byte("PING\nPING a="+strings.Repeat("x", 200)+"\nPING\n"), uint64(4), uint16(100))
	mux := service(f)
	f.Fuzz(func(t *testing.T, input []byte, seed uint64, limit uint16) {
		if len(input) > 10_000 {
			return
		}
		config := connection.MessageConfig{Stream: connection.StreamConfig{MaxInput: int(limit)}}
		parts := pieced(rand.New(rand.NewPCG(seed, 0)), string(input))
		all := exchanges(t, mux, config, []string{string(input)}, parts)
		if diff := cmp.Diff(all[0], all[1], cmp.AllowUnexported(exchange{})); diff != "" {
			t.Errorf("%q in %d pieces: want (-), got (+):\n%s", input, len(parts), diff)
		}
	})
}

// TestParserOfConnections: the limits of the parser make a line wrong, that of the connection ends it.
func TestParserOfConnections(t *testing.T) {
	for _, tt := range []struct {
		name    string
		parser  message.Parser
		maxLine int
		input   string
		want    []string
		cause   error
	}{
		{"parameters", message.Parser{MaxParameters: 2}, 0, "PING a=1;b=2\nPING a=1;b=2;c=3\nPING a=1;a=2;a=3\nPING\n",
			[]string{"PONG a=1;b=2", "INVALID message=*", "INVALID message=*", "PONG"}, nil},
		{"any parameters", message.Parser{MaxParameters: -1}, 0, "FETCH id=1" + strings.Repeat(";id=2", 1100) + "\n",
			[]string{"USER id=2"}, nil},
		{"names", message.Parser{MaxName: 5}, 0, "PING abcde=1\nPING abcdef=1\nABCDEF\n",
			[]string{"PONG abcde=1", "INVALID message=*", "INVALID message=*"}, nil},
		{"form", message.Parser{Form: message.FormText}, 0, "{\"command\":\"PING\"}\nPING\n",
			[]string{"INVALID message=*", "PONG"}, nil},
		{"strict", message.Parser{}, 0, "<a-b:c PING\nA-B\n<a-b:c FETCH\n",
			[]string{"INVALID message=*", "INVALID message=*", "INVALID message=*"}, nil},
		{"lenient", message.Parser{Lenient: true}, 0, "<a-b:c PING\nA-B\n<x.y:c d/stop\n<a-b:c FETCH\n",
			[]string{"a-b:c/PONG", "UNKNOWN command=A-B", "x.y:c/UNKNOWN command=stop", "a-b:c/INVALID command=FETCH;message=*"}, nil},
		{"message", message.Parser{MaxSize: 10}, 20, "PING a=234\nPING a=2345\nPING a=2345678901234\nPING\n",
			[]string{"PONG a=234", "INVALID message=*", "INVALID message=*", "PONG"}, nil},
		{"a large message", message.Parser{}, 2 << 20, "PING a=" + strings.Repeat("x", 3<<19) + "\nPING\n",
			[]string{"PONG a=xxx*", "PONG"}, nil},
		{"line", message.Parser{}, 20, "PING a=789012345678\nPING a=7890123456789\nPING\n",
			[]string{"PONG a=789012345678", "PONG a=7890123456789", "PONG"}, nil}, // of 19 and 20 bytes without the line feed
		{"long line", message.Parser{}, 20, "PING a=7890123456789\nPING a=78901234567890\nPING\n",
			[]string{"PONG a=7890123456789"}, connection.ErrInputLimit},
		{"line and message", message.Parser{MaxSize: 100}, 20, "PING a=" + strings.Repeat("x", 50) + "\nPING\n",
			nil, connection.ErrInputLimit},
	} {
		config := connection.MessageConfig{Parser: tt.parser, Stream: connection.StreamConfig{MaxInput: tt.maxLine}}
		for _, got := range exchanges(t, service(t), config, []string{tt.input}, cut(tt.input, 1, 10, 11, 19, 20, 21, 27, 28, 41, 60_000, 1<<20)) {
			lines := slices.Collect(strings.SplitSeq(got.replies, "\n"))
			if !slices.EqualFunc(lines[:len(lines)-1], tt.want, matches) || got.cause != fmt.Sprint(tt.cause) {
				t.Errorf("%s: ended with %s; want %q, got %.2000q", tt.name, got.cause, tt.want, lines)
			}
		}
	}
}

// TestCoverageOfConnections: what was sent is counted by those who send, and what could not be sent is not.
func TestCoverageOfConnections(t *testing.T) {
	var coverage message.Coverage
	h := message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		_ = from.Send(message.New("NUL").Set("a", "\x00")) // refused
		if conn, ok := from.(*connection.MessageConn); ok && m.Command() == "LAST" {
			conn.Close()
		}
		_ = from.Send(m.Reply("LONG").Set("a", strings.Repeat("x", connection.DefaultMaxMessage))) // too long for a datagram
		return from.Send(m.Reply("PONG"))
	})
	config := connection.MessageConfig{Coverage: &coverage}
	if got := exchanges(t, h, config, []string{"PING\nnoise\nPING\nLAST\n"}, []string{"PING\n"}); !strings.Contains(got[0].cause, "closed") {
		t.Errorf("ended with %s", got[0].cause) // for the reply after Close
	}
	if diff := cmp.Diff(map[string]uint64{"PONG": 3, "LONG": 3, "INVALID": 1}, coverage.Sent()); diff != "" || coverage.Received() != nil {
		t.Errorf("received %v; want (-), got (+):\n%s", coverage.Received(), diff)
	}

	coverage = message.Coverage{}
	loop, _ := looptest.New(t)
	layer := connection.NewMessageDatagrams(h, connection.MessageDatagramConfig{Coverage: &coverage})
	d := newDatagram(t, loop, udpSocket(t), layer, connection.DatagramConfig{})
	peer := client(t, d)
	for _, text := range []string{"PING", "noise", "PING"} {
		if err := layer.HandleDatagram(d, []byte(text), peerOf(peer)); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(map[string]uint64{"PONG": 2}, coverage.Sent()); diff != "" || coverage.Received() != nil || d.Sent() != 2 {
		t.Errorf("received %v, sent %d; want (-), got (+):\n%s", coverage.Received(), d.Sent(), diff)
	}
}

// backslashes puts a socket on a loop, and returns what hands it 64 KiB of backslashes as a datagram, and
// what was handled.
func backslashes(tb testing.TB) (handle func() error, handled *[]int) {
	tb.Helper()
	loop, _ := looptest.New(tb)
	handled = new([]int)
	layer := connection.NewMessageDatagrams(message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		*handled = append((*handled)[:0], len(m.Get("a")), strings.Count(m.Get("a"), `\`))
		return nil
	}), connection.MessageDatagramConfig{})
	d := newDatagram(tb, loop, udpSocket(tb), layer, connection.DatagramConfig{})
	data := []byte("PING a=" + strings.Repeat(`\`, 64<<10-len("PING a=")))
	return func() error { return layer.HandleDatagram(d, data, connection.Peer{}) }, handled
}

// TestBackslashes64KiB: the longest datagram, in which each byte needs work; BenchmarkBackslashes64KiB tells how much.
func TestBackslashes64KiB(t *testing.T) {
	handle, handled := backslashes(t)
	if err := handle(); err != nil || !slices.Equal(*handled, []int{32765, 32765}) { // pairs, and one that is left
		t.Errorf("handled %d, %v", *handled, err)
	}
}

func BenchmarkBackslashes64KiB(b *testing.B) {
	handle, _ := backslashes(b)
	b.SetBytes(64 << 10)
	for b.Loop() {
		if err := handle(); err != nil {
			b.Fatal(err)
		}
	}
}
