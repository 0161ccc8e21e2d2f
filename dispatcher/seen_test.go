package dispatcher_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// records returns what was logged as JSON, one map for each line, without the time.
func records(tb testing.TB, log *bytes.Buffer) (all []map[string]any) {
	tb.Helper()
	for line := range bytes.Lines(log.Bytes()) {
		var record map[string]any
		if err := json.Unmarshal(line, &record); err != nil {
			tb.Fatal(err)
		}
		delete(record, "time")
		all = append(all, record)
	}
	log.Reset()
	return all
}

func logging(config dispatcher.Config, level slog.Level) (*dispatcher.Mux, *bytes.Buffer) {
	var log bytes.Buffer
	config.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: level}))
	return dispatcher.New(config), &log
}

// TestTrace: each message is logged before its handler, whatever becomes of it, and its secret is not.
func TestTrace(t *testing.T) {
	mux, log := checked(t, dispatcher.Config{Trace: true})
	mux.HandleFunc("FETCH", func(message.Sender, *message.Message) error {
		log.WriteString("the handler\n")
		return nil
	})
	mux.HandleUnknown(message.HandlerFunc(func(message.Sender, *message.Message) error { return nil }))
	for _, tt := range []struct{ text, traced, next string }{
		{"<a:b FETCH id=1;secret_code=hush", "<a:b FETCH id=1;secret_code=", "the handler\n"},
		{"FETCH id=x", "FETCH id=x", "level=WARN"},
		{"OTHER a=b", "OTHER a=b", ""},
	} {
		log.Reset()
		dispatch(t, mux, tt.text)
		first, rest, _ := strings.Cut(log.String(), "\n")
		if !strings.Contains(first, "level=INFO") || !strings.Contains(first, tt.traced) || strings.Contains(first, "hush") {
			t.Errorf("%s: logged %q", tt.text, first)
		}
		if !strings.Contains(rest, tt.next) || (rest == "") != (tt.next == "") {
			t.Errorf("%s: then logged %q, want %q", tt.text, rest, tt.next)
		}
	}
}

// TestNoTrace: nothing is logged of messages that are handled, at any level.
func TestNoTrace(t *testing.T) {
	mux, log := logging(dispatcher.Config{}, slog.LevelDebug)
	var called calls
	mux.Handle("A", called.handler("a"))
	mustAdd(t, mux, dispatcher.Match{Command: "*", Observer: true, Handler: called.handler("all")})
	log.Reset()
	for _, text := range []string{"A", "B"} {
		dispatch(t, mux, text)
	}
	if log.Len() > 0 || called.take() != "a all" {
		t.Errorf("logged %s", log)
	}
}

// TestMatchesAreLogged when they are added and removed, at debug level only, and not when they are refused.
func TestMatchesAreLogged(t *testing.T) {
	var called calls
	h := called.handler("h")
	change := func(mux *dispatcher.Mux) {
		mux.Handle("PING", h)
		mux.HandleFunc("EVENT*", h.HandleMessage)
		for _, match := range []dispatcher.Match{
			{Command: "NEWS", Observer: true, Priority: dispatcher.PriorityCallback, Tag: "t", Handler: h},
			{Command: "A?", Tag: "t", Handler: h},
			{Regexp: "A|B", Priority: 5, Handler: h},
			{Func: func(*message.Message) bool { return true }, Observer: true, Handler: h, Tag: "u"},
		} {
			mustAdd(t, mux, match)
		}
		if err := mux.Add(dispatcher.Match{Command: "PING"}); err == nil {
			t.Error("added without a handler")
		}
		mux.Remove("")
		mux.Remove("no such tag")
		mux.Remove("t")
	}
	record := func(text, command string, priority float64, observer bool, tag string) map[string]any {
		return map[string]any{"level": "DEBUG", "msg": text, "match": map[string]any{
			"command": command, "priority": priority, "observer": observer, "tag": tag,
		}}
	}
	mux, log := logging(dispatcher.Config{}, slog.LevelDebug)
	change(mux)
	want := []map[string]any{
		record("match added", "PING", 0, false, ""),
		record("match added", "EVENT*", 0, false, ""),
		record("match added", "NEWS", -7, true, "t"),
		record("match added", "A?", 0, false, "t"),
		record("match added", "/A|B/", 5, false, ""),
		record("match added", "function", 0, true, "u"),
		record("match removed", "NEWS", -7, true, "t"),
		record("match removed", "A?", 0, false, "t"),
	}
	if diff := cmp.Diff(want, records(t, log)); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	mux, log = logging(dispatcher.Config{}, slog.LevelInfo)
	change(mux)
	if log.Len() > 0 {
		t.Errorf("at level info: %s", log)
	}
}

// TestCoverage: what is received is counted once, whatever becomes of it; so a test can tell what it has forgotten.
func TestCoverage(t *testing.T) {
	var coverage message.Coverage
	mux, _ := checked(t, dispatcher.Config{Coverage: &coverage})
	var called calls
	if err := mux.AddDefaults(dispatcher.Service{}); err != nil {
		t.Fatal(err)
	}
	mux.Handle("FETCH", called.handler("fetch"))
	mux.Handle("FORGOTTEN", called.handler("forgotten"))
	for range 3 {
		mustAdd(t, mux, dispatcher.Match{Command: "EVENT*", Observer: true, Handler: called.handler("observer")})
	}
	for _, text := range []string{"FETCH id=1", "FETCH id=2", "FETCH id=wrong", "EVENT_UP", "HELP", "NO_SUCH", "NO_SUCH", "<a:b b/STOP", "INVALID command="} {
		dispatch(t, mux, text)
	}
	if err := mux.HandleMessage(nil, message.New("LEAK")); err != nil {
		t.Error(err)
	}
	want := map[string]uint64{"FETCH": 3, "EVENT_UP": 1, "HELP": 1, "NO_SUCH": 2, "STOP": 1, "INVALID": 1, "LEAK": 1}
	received := coverage.Received()
	if diff := cmp.Diff(want, received); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	if sent := coverage.Sent(); len(sent) > 0 {
		t.Errorf("counted as sent, which is the work of connections: %v", sent)
	}
	never := slices.DeleteFunc(mux.Commands(), func(command string) bool { return received[command] > 0 })
	if got := strings.Join(never, " "); got != "ALIVE FORGOTTEN LOG_ROTATE QUITTING READY RESTART SERVICE_UNAVAILABLE UNKNOWN" {
		t.Errorf("never received: %s", got)
	}
	unknown := slices.DeleteFunc(slices.Sorted(maps.Keys(received)), func(command string) bool {
		return slices.Contains(mux.Commands(), command)
	})
	if got := strings.Join(unknown, " "); got != "EVENT_UP NO_SUCH" {
		t.Errorf("received without an exact match: %s", got)
	}
}
