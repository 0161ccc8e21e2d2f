package dispatcher_test

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// wanted tells whether a match gets a message. Names are those that the C++ library accepts.
func wanted(tb testing.TB, match dispatcher.Match, text string) bool {
	tb.Helper()
	lenient := message.Parser{Lenient: true}
	m, err := lenient.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	mux, _ := quiet()
	var called calls
	match.Handler = called.handler("it")
	mustAdd(tb, mux, match)
	if err := mux.HandleMessage(nil, m); err != nil {
		tb.Error(err)
	}
	got := called.take() == "it"
	if (mux.Unhandled() == 0) != got {
		tb.Errorf("%q was handled: %v, and %d are counted as unhandled", text, got, mux.Unhandled())
	}
	return got
}

func TestCommands(t *testing.T) {
	for _, tt := range []struct{ pattern, match, miss string }{
		// The exact command, and nothing else of the message.
		{"PING", "PING", "PIN PINGS PONG P ping Ping _PING PING_ *"},
		{"_", "_", "A __ ?"},
		{"A1_B", "A1_B", "A1B A1_C A1"},
		// Any characters.
		{"*", "A _ PING EVENT_DONE lower a-b *", ""},
		{"**", "A PING", ""},
		{"EVENT*", "EVENT EVENTS EVENT_ EVENT_DONE EVENT1 EVENTEVENT EVENT-X", "EVEN AEVENT _EVENT E event EVEN_T"},
		{"*_DONE", "_DONE A_DONE EVENT_DONE _DONE_DONE A_DONEX_DONE", "DONE A_DON A_DONE_ XDONE A_DONEX"},
		{"A*B*C", "ABC AXBC ABXC AXXBXXC ABBC ABCC ABCBC ABCABC AABBCC", "AB AC BC ACB ABCX XABC A ACBX CBA ABDD"},
		{"*A*", "A BA AB BAB AA", "B BB C"},
		{"A*A", "AA ABA AAA A_A_A", "A AB BA ABAB"},
		{"A**B", "AB AXB AABB", "A B AXBX"},
		{"*AB*AB*", "ABAB XABXABX AABAAB ABXXAB", "AB ABA BAB ABXB"},
		{"***A***", "A BAB", "B"},
		// One character.
		{"?", "A Z _ a", "AA ABC"},
		{"??", "AB A1", "A ABC"},
		{"A?C", "ABC ACC A_C A1C", "AC ABBC ABCX XABC"},
		{"?PING", "XPING _PING", "PING XXPING"},
		{"PING?", "PINGS PING1", "PING PINGSS"},
		{"*?", "A AB ABC", ""},
		{"?*", "A AB ABC", ""},
		{"*?*", "A AB", ""},
		{"??*", "AB ABC", "A"},
		{"A*?B", "AXB ABB AXXB AABB", "AB A B"},
		{"A?*B", "AXB ABB AXXB", "AB"},
		{"*A?", "AB AAB XAB AA AAA", "A AXY ABAAB_A"},
		{"_*", "_ _A __", "A A_"},
	} {
		for command := range strings.FieldsSeq(tt.match) {
			if !wanted(t, dispatcher.Match{Command: tt.pattern}, "a:b/"+command+" x=1") {
				t.Errorf("%s does not match %s", tt.pattern, command)
			}
		}
		for command := range strings.FieldsSeq(tt.miss) {
			if wanted(t, dispatcher.Match{Command: tt.pattern}, "<a:b PING/"+command+" PING=1") {
				t.Errorf("%s matches %s", tt.pattern, command)
			}
		}
	}
}

// TestManyStars would not end if each star were tried for each of the others: 255 bytes have more than 10 to the power of
// 60 ways to be cut by 100 stars.
func TestManyStars(t *testing.T) {
	longest := strings.Repeat("A", message.DefaultMaxName)
	stars := strings.Repeat("A*", 100)
	for _, tt := range []struct {
		pattern, command string
		want             bool
	}{
		{stars + "B", longest, false},
		{strings.Repeat("*A", 100) + "B", longest, false},
		{strings.Repeat("*?A", 80) + "B", longest, false},
		{strings.Repeat("*A", 99) + "*BA*", longest, false},
		{strings.Repeat("*", 100) + "B", longest, false},
		{strings.Repeat("?*", 100) + "B*", longest, false},
		{strings.Repeat("?*", 256), longest, false},
		{strings.Repeat("?*", 255), longest, true},
		{stars, longest, true},
		{stars + "A", longest, true},
		{stars + "B", longest[1:] + "B", true},
		{strings.Repeat("*", 100), longest, true},
	} {
		if got := wanted(t, dispatcher.Match{Command: tt.pattern}, tt.command); got != tt.want {
			t.Errorf("%.20s…, %d bytes: %v", tt.pattern, len(tt.pattern), got)
		}
	}
}

func TestRegularExpressions(t *testing.T) {
	for _, tt := range []struct{ regexp, match, miss string }{
		{"PING", "PING", "PINGS APING PIN"},
		{"A|B", "A B", "AB AX XA BX XB C"},
		{"AB|A|ABC", "A AB ABC", "ABCD B"},
		{"|A", "A", "B AA"},
		{"A.*", "A AB A_", "BA"},
		{".", "A _", "AB"},
		{"EVENT_(UP|DOWN)", "EVENT_UP EVENT_DOWN", "EVENT_ EVENT_UPX EVENT_LEFT"},
		{"^A$", "A", "AA"},
		{`\AA+?\z`, "A AAA", "AAB"},
		{"[A-C]{2}", "AB CC", "A ABC AD"},
		{"(?i)ping", "PING ping PiNg", "PINGS"},
		{"(?i:p)ing", "Ping ping", "PING"},
		{"(?U)A+", "A AAA", "AAB"},
		{"(?P<what>A)|B(?:C)", "A BC", "B AC"},
		{"a-b", "a-b", "A-B"},
		{`\QA.\E`, "A.", "AB"},
	} {
		for command := range strings.FieldsSeq(tt.match) {
			if !wanted(t, dispatcher.Match{Regexp: tt.regexp}, command) {
				t.Errorf("/%s/ does not match %s", tt.regexp, command)
			}
		}
		for command := range strings.FieldsSeq(tt.miss) {
			if wanted(t, dispatcher.Match{Regexp: tt.regexp}, command) {
				t.Errorf("/%s/ matches %s", tt.regexp, command)
			}
		}
	}
	// Both ends are those of the command, whatever the expression says of lines.
	for _, command := range []string{"A\nB", "B\nA", "A\n"} {
		want := command == "A\n" // blanks at the end are none of the command's
		if got := wanted(t, dispatcher.Match{Regexp: "(?m)^A$"}, command); got != want {
			t.Errorf("the lines of %q: %v", command, got)
		}
	}
}

// TestFunctions: a function sees the whole message, and is asked only when the message gets as far.
func TestFunctions(t *testing.T) {
	mux, _ := quiet()
	var called calls
	asked := 0
	urgent := func(m *message.Message) bool {
		asked++
		return m.Get("urgent") == "yes" && m.SentFromService() != "spam"
	}
	mustAdd(t, mux, dispatcher.Match{Func: urgent, Handler: called.handler("urgent")})
	mustAdd(t, mux, dispatcher.Match{Command: "NEWS", Priority: -1, Handler: called.handler("news")})
	mustAdd(t, mux, dispatcher.Match{Command: "OLD*", Handler: called.handler("old")})
	for _, tt := range []struct {
		text, want string
		asked      int
	}{
		{"A urgent=yes", "urgent", 1},
		{"OLD_A urgent=yes", "urgent", 1},
		{"OLD_A urgent=no", "old", 1},
		{"<x:spam OLD urgent=yes", "old", 1},
		{"NEWS urgent=yes", "news", 0},
		{"A", "", 1},
	} {
		asked = 0
		dispatch(t, mux, tt.text)
		if got := called.take(); got != tt.want || asked != tt.asked {
			t.Errorf("%s: called %q, asked %d times; want %q, %d", tt.text, got, asked, tt.want, tt.asked)
		}
	}
	if diff := cmp.Diff([]string{"NEWS"}, mux.Commands()); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestAddRefuses(t *testing.T) {
	mux, _ := quiet()
	var called calls
	h := called.handler("h")
	yes := func(*message.Message) bool { return true }
	for _, tt := range []struct {
		match dispatcher.Match
		want  error
	}{
		{dispatcher.Match{Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{}, dispatcher.ErrMatch},
		{dispatcher.Match{Observer: true, Tag: "t", Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{Command: "A", Regexp: "A", Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{Command: "A*", Func: yes, Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{Regexp: "A", Func: yes, Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{Command: "A", Regexp: "A", Func: yes, Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{Regexp: "(", Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{Regexp: "*", Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{Regexp: "A[", Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{Regexp: `A\`, Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{Regexp: "A{9999}", Handler: h}, dispatcher.ErrMatch},
		{dispatcher.Match{Command: "ping", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "PiNG", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "A-B", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "1A", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "A B", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "Ä", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "event*", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "1*", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "A-*", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "*.DONE", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "[AB]*", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: `A\*`, Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "A* ", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "?\n", Handler: h}, message.ErrName},
		{dispatcher.Match{Command: "PING"}, dispatcher.ErrNoHandler},
		{dispatcher.Match{Command: "P*", Observer: true}, dispatcher.ErrNoHandler},
		{dispatcher.Match{Regexp: "P"}, dispatcher.ErrNoHandler},
		{dispatcher.Match{Func: yes}, dispatcher.ErrNoHandler},
		{dispatcher.Match{Command: "PING", Handler: h, Priority: -8}, dispatcher.ErrPriority},
		{dispatcher.Match{Command: "PING", Handler: h, Priority: 9}, dispatcher.ErrPriority},
		{dispatcher.Match{Command: "*", Handler: h, Priority: 100}, dispatcher.ErrPriority},
		{dispatcher.Match{Regexp: ".*", Handler: h, Priority: dispatcher.PriorityLast + 1}, dispatcher.ErrPriority},
		{dispatcher.Match{Func: yes, Handler: h, Priority: dispatcher.PriorityCallback - 1}, dispatcher.ErrPriority},
	} {
		if err := mux.Add(tt.match); !errors.Is(err, tt.want) {
			t.Errorf("%+v: got %v, want %v", tt.match, err, tt.want)
		}
	}
	var wrong *syntax.Error
	if err := mux.Add(dispatcher.Match{Regexp: "A(", Handler: h}); !errors.As(err, &wrong) || wrong.Code != syntax.ErrMissingParen {
		t.Errorf("a bad regular expression: %v", err)
	}
	if got := mux.Commands(); len(got) != 0 {
		t.Errorf("added all the same: %v", got)
	}
	if got := dispatch(t, mux, "PING"); got != nil || called != nil || mux.Unhandled() != 1 || mux.Remove("t") != 0 {
		t.Errorf("added all the same: %q, %q, %d unhandled", got, called, mux.Unhandled())
	}
}

// FuzzWildcard compares with the regular expression that says the same.
func FuzzWildcard(f *testing.F) {
	for _, seed := range []string{"EVENT* EVENT_DONE", "*_DONE A_DONEX_DONE", "A*B*C ABCBC", "** A", "*?A? AXA", "A*?B AB", "?? A"} {
		pattern, command, _ := strings.Cut(seed, " ")
		f.Add(pattern, command)
	}
	f.Fuzz(func(t *testing.T, pattern, command string) {
		if !strings.ContainsAny(pattern, "*?") || message.New(command).Err() != nil || len(pattern)+len(command) > 500 {
			return
		}
		mux, _ := quiet()
		var called calls
		err := mux.Add(dispatcher.Match{Command: pattern, Handler: called.handler("it")})
		if err != nil {
			if !errors.Is(err, message.ErrName) {
				t.Errorf("%q: %v", pattern, err)
			}
			return
		}
		if err := mux.HandleMessage(nil, message.New(command)); err != nil {
			t.Error(err)
		}
		same := regexp.MustCompile(fmt.Sprintf("^%s$", strings.NewReplacer("*", ".*", "?", ".").Replace(pattern)))
		if got, want := called.take() != "", same.MatchString(command); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, command, got, want)
		}
	})
}
