//go:build linux

package inspect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/communicator/inspect"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/fifo"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

var (
	_ expvar.Var            = (*inspect.Var)(nil)
	_ communicator.Observer = inspect.Trace(nil)
)

func after(tb testing.TB, loop *communicator.Communicator, d time.Duration, o communicator.Options, f func()) {
	tb.Helper()
	if _, err := timer.After(loop, d, func(*timer.Timer) error { f(); return nil }, o); err != nil {
		tb.Fatal(err)
	}
}

// TestText: the table has a line for each source, with what its columns promise.
func TestText(t *testing.T) {
	loop, _ := looptest.New(t)
	a, b, err := fifo.Pair()
	if err != nil {
		t.Fatal(err)
	}
	echo := connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) { return s.Write(data) })
	if _, err := connection.NewStream(loop, a, echo, connection.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	var got string
	var asker *connection.Stream
	ask := connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) {
		got = inspect.Text(loop)
		loop.Stop(nil)
		return len(data), nil
	})
	if asker, err = connection.NewStream(loop, b, ask, connection.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	after(t, loop, time.Hour, communicator.Options{Name: "in an\nhour", Priority: 7, Background: true}, nil)
	after(t, loop, time.Hour, communicator.Options{Name: "off", Disabled: true}, nil)
	if _, err := asker.Write([]byte("twelve bytes")); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)

	for _, want := range []string{
		`(?m)^loop: 6 sources, up [0-9.]+m?s, idle [0-9.]+ % of the time$`,
		`(?m)^turns: [0-9]+; callbacks: [1-9][0-9]*, 0 of them slow; functions: 0, 0 wait; holds: 0; closed: 0; stale events: 0$`,
		`(?m)^deadlines, how late: 0, p50 0s, p99 0s, longest 0s$`,
		`(?m)^turns, how long: [0-9]+, p50 \S+, p99 \S+, longest \S+$`,
		`(?m)^NAME +KIND +PRIORITY +STATE +DEADLINE +CALLS +TIME +LONGEST +LAST +READ +WRITTEN +QUEUED$`,
		`(?m)^in an\?hour +timer +7 +no descriptor, background +in (1h0m0s|59m\S+) +0 +0s +0s +- +0 +0 +0$`,
		`(?m)^off +timer +0 +disabled +in \S+ +0 `,
		`(?m)connection\.stream +0 +fd [0-9]+ waits for read +- +1 +\S+ +\S+ +\S+ ago +12 +12 +0$`,
		`(?m)connection\.stream +0 +fd [0-9]+ waits for read +- +0 +0s +0s +- +12 +12 +0$`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("no match for %s in:\n%s", want, got)
		}
	}
}

// TestTextIsBounded: of very many sources most are only counted.
func TestTextIsBounded(t *testing.T) {
	loop, _ := looptest.New(t)
	const all = inspect.MaxListed + 17
	for range all {
		after(t, loop, time.Hour, communicator.Options{}, nil)
	}
	text := inspect.Text(loop)
	if n := strings.Count(text, "\ntimer "); n != inspect.MaxListed || !strings.HasSuffix(text, "\nand 17 more\n") {
		t.Errorf("%d lines, the end is %q", n, text[len(text)-30:])
	}
}

// TestTextOfNames: names that peers have made up neither break the table nor steer the terminal, and are cut.
func TestTextOfNames(t *testing.T) {
	loop, _ := looptest.New(t)
	long := strings.Repeat("ü", inspect.MaxName)
	for _, name := range []string{
		"a\x1b[2Jb\x7f", "c1\u009b31mred", "bidi\u202eend", "line\u2028end", "tab\tnew\nline", "zero\u200bwidth", "bad\xffbyte", "日本語 ok",
		long, long + "x",
	} {
		after(t, loop, time.Hour, communicator.Options{Name: name}, nil)
	}
	text := inspect.Text(loop)
	for _, want := range []string{
		"a?[2Jb?", "c1?31mred", "bidi?end", "line?end", "tab?new?line", "zero?width", "bad\ufffdbyte", "日本語 ok",
		long, strings.Repeat("ü", inspect.MaxName-1) + "…",
	} {
		if strings.Count(text, "\n"+want+"  ") != 1 {
			t.Errorf("no line for %q", want)
		}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("not printable: %q", text)
	}
}

// TestTextSize: a full table fits into a message, however long names are.
func TestTextSize(t *testing.T) {
	loop, _ := looptest.New(t)
	for i := range inspect.MaxListed {
		name := fmt.Sprint("t", i)
		if i%2 == 0 {
			name = strings.Repeat("\U0001F680", 1200)
		}
		after(t, loop, time.Hour, communicator.Options{Name: name, Background: true}, nil)
	}
	listing := inspect.Text(loop)
	text, err := message.New("STATUS_REPORT").Set("text", listing).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	m, err := message.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if m.Get("text") != listing || len(text) > 1<<19 {
		t.Errorf("%d bytes came as %d", len(listing), len(m.Get("text")))
	}
}

// TestStatus asks for the listing by a message.
func TestStatus(t *testing.T) {
	loop, _ := looptest.New(t)
	after(t, loop, time.Hour, communicator.Options{Name: "tea"}, nil)
	mux := dispatcher.New(dispatcher.Config{})
	if err := mux.AddDefaults(dispatcher.Service{Status: inspect.Status(loop)}); err != nil {
		t.Fatal(err)
	}
	answer := &sender{}
	if err := mux.HandleMessage(answer, message.New("STATUS")); err != nil {
		t.Fatal(err)
	}
	if reply := answer.last; reply == nil || reply.Command() != message.CommandStatusReport || !strings.Contains(reply.Get("text"), "\ntea ") {
		t.Errorf("the reply is %v", reply)
	}
}

// sender keeps what is sent.
type sender struct{ last *message.Message }

func (s *sender) Send(m *message.Message) error { s.last = m; return nil }

// TestOnSignal: the listing is written for each signal, and the source doesn't keep the loop running.
func TestOnSignal(t *testing.T) {
	loop, _ := looptest.New(t)
	r, w := io.Pipe()
	if _, err := inspect.OnSignal(loop, w, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	text := make(chan string, 1)
	go func() {
		buf := make([]byte, 1<<16)
		n, _ := r.Read(buf)
		text <- string(buf[:n])
		_ = r.Close() // the next one fails
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR2)
	}()
	seen := false
	var wait *timer.Timer
	wait, err := timer.Every(loop, time.Millisecond, func(*timer.Timer, int) error {
		for _, i := range loop.Sources() {
			if i.Name == "listing" && i.Calls == 2 {
				seen = true
				wait.Stop()
			}
		}
		return nil
	}, communicator.Options{Name: "tea"})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if got := <-text; !seen || !strings.Contains(got, "\ntea ") {
		t.Errorf("seen %v, got %q", seen, got)
	}
}

// TestVar: the figures are JSON, from any goroutine; without a loop that answers there is an error in it.
func TestVar(t *testing.T) {
	loop, _ := looptest.New(t)
	v := inspect.NewVar(loop)
	var onLoop string
	after(t, loop, time.Hour, communicator.Options{}, nil)
	after(t, loop, 0, communicator.Options{}, func() { onLoop = v.String() })
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(context.Background()) }()
	looptest.Do(t, loop, func() {}) // it runs

	var f struct {
		Sources int
		Turns   int
		Age     float64             `json:"age_seconds"`
		Late    struct{ Count int } `json:"deadlines_late"`
		Kinds   map[string]struct{ Sources, Callbacks int }
		Error   string
	}
	text := v.String()
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	if f.Sources != 1 || f.Turns == 0 || f.Age <= 0 || f.Kinds["timer"].Sources != 1 || f.Error != "" {
		t.Errorf("the figures are %s", text)
	}
	loop.Stop(nil)
	if err := looptest.Await(t, ended, "the end of the loop"); err != nil {
		t.Error(err)
	}
	for where, text := range map[string]string{"on the loop": onLoop, "after its end": v.String()} {
		f.Error = ""
		if err := json.Unmarshal([]byte(text), &f); err != nil || f.Error == "" {
			t.Errorf("%s: %s", where, text)
		}
	}
}

// TestTrace: each callback is in the log, at debug level and nowhere else.
func TestTrace(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		loop, _ := looptest.New(t)
		var log bytes.Buffer
		loop.SetObserver(inspect.Trace(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))))
		after(t, loop, 0, communicator.Options{Name: "tea"}, func() {})
		if err := loop.Post(func() {}); err != nil {
			t.Fatal(err)
		}
		looptest.Run(t, loop)
		text := log.String()
		want := 1
		if level > slog.LevelDebug {
			want = 0
		}
		for _, line := range []string{"source=tea call=timeout took=", "source=function call=function took=", "source=tea call=close took="} {
			if strings.Count(text, line) != want {
				t.Errorf("at %v %q is not there %d times:\n%s", level, line, want, text)
			}
		}
	}
}

// TestLabels: in a callback the goroutine has the labels of its source, afterwards those it had before.
func TestLabels(t *testing.T) {
	loop, _ := looptest.New(t)
	ctx := pprof.WithLabels(context.Background(), pprof.Labels("program", "test"))
	pprof.SetGoroutineLabels(ctx)
	defer pprof.SetGoroutineLabels(context.Background())
	loop.SetObserver(inspect.Labels(ctx))
	var in string
	after(t, loop, 0, communicator.Options{Name: "tea"}, func() { in = goroutines(t) })
	looptest.Run(t, loop)
	if !strings.Contains(in, `"call":"timeout"`) || !strings.Contains(in, `"source":"tea"`) || !strings.Contains(in, `"program":"test"`) {
		t.Errorf("within the callback: %s", in)
	}
	if out := goroutines(t); strings.Contains(out, `"source"`) || !strings.Contains(out, `"program":"test"`) {
		t.Errorf("after the callback: %s", out)
	}
}

// TestLabelsLeave: an observer that is taken away, which on a running loop is only possible within a callback, leaves
// no labels behind.
func TestLabelsLeave(t *testing.T) {
	loop, _ := looptest.New(t)
	loop.SetObserver(inspect.Labels(context.Background()))
	if err := loop.Post(func() { loop.SetObserver(nil) }); err != nil {
		t.Fatal(err)
	}
	var left string
	after(t, loop, time.Millisecond, communicator.Options{}, func() { left = goroutines(t) })
	looptest.Run(t, loop)
	if strings.Contains(left, `"call"`) || left == "" {
		t.Errorf("labels are left: %s", left)
	}
}

// goroutines are the goroutines with their labels.
func goroutines(tb testing.TB) string {
	tb.Helper()
	var b strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func TestKind(t *testing.T) {
	for kind, want := range map[string]string{
		"*timer.source": "timer", "*connection.streamSource": "connection.stream", "*main.sensor": "main.sensor",
		"main.sensor": "main.sensor", "int": "int", "*signals.signals": "signals",
		"*channel.inboxSource[int]": "channel.inbox", "*channel.inboxSource[*example.com/x.T]": "channel.inbox",
	} {
		if got := inspect.Kind(communicator.Info{Kind: kind}); got != want {
			t.Errorf("Kind of %s is %q, want %q", kind, got, want)
		}
	}
}

// failing is a writer that doesn't.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

// TestOnSignalFails: what can't be written is logged, and the next one is tried again.
func TestOnSignalFails(t *testing.T) {
	log := &looptest.Log{}
	loop := looptest.NewLogging(t, log)
	source, err := inspect.OnSignal(loop, failing{}, syscall.SIGUSR2)
	if err != nil {
		t.Fatal(err)
	}
	after(t, loop, 0, communicator.Options{}, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGUSR2) })
	wait, err := timer.Every(loop, time.Millisecond, func(tm *timer.Timer, _ int) error {
		if len(log.Containing("could not be written")) > 0 {
			tm.Stop()
		}
		return nil
	}, communicator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	looptest.Run(t, loop)
	if source.Handle().Active() || wait.Active() {
		t.Error("a source is left")
	}
}
