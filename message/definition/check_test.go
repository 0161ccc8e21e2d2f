package definition_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

// wanted is a definition with a parameter of each kind.
var wanted = definition.Definition{
	Command: "FETCH",
	Parameters: []definition.Parameter{
		{Name: "address", Type: definition.Address, Empty: true},
		{Name: "id", Type: definition.Integer, Required: true},
		{Name: "name", Required: true, Empty: true},
		{Name: "old", Forbidden: true},
		{Name: "text"},
		{Name: "time", Type: definition.Timespec},
	},
}

// problemsOf returns what is wrong with a message, and fails the test when it is no *definition.Error.
func problemsOf(t *testing.T, err error) []*message.Error {
	t.Helper()
	if err == nil {
		return nil
	}
	var all *definition.Error
	if !errors.As(err, &all) {
		t.Fatalf("%T: %v", err, err)
	}
	if len(all.Problems) == 0 {
		t.Fatalf("an error without problems: %v", err)
	}
	return all.Problems
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		text string
		want string // name: reason (error), in order
	}{
		{"FETCH id=1;name=", ""},
		{"FETCH id=-0x7F;name=x;address=;text=x;time=1.5", ""},
		{"FETCH id=1;name=;other=;another=1", ""}, // open
		{"OTHER id=1;name=", ""},                  // the command is not looked at
		{"FETCH", "id missing MISSING, name missing MISSING"},
		{"FETCH id=;name=;text=;time=", "id empty VALUE, text empty VALUE, time empty VALUE"},
		{"FETCH id=one;name=;time=soon;address=localhost", "address not an IP address VALUE, id not an integer VALUE, " +
			"time not a number of seconds, such as 1.5 VALUE"},
		{"FETCH id=9223372036854775808;name=", "id out of the range of int64 VALUE"},
		{"FETCH id=1;name=;old=", "old not allowed FORBIDDEN"},
		{"FETCH text=;old=x", "id missing MISSING, name missing MISSING, old not allowed FORBIDDEN, text empty VALUE"},
	} {
		m, err := message.Parse(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range problemsOf(t, wanted.Check(m)) {
			if p.Offset != -1 || p.Field != "parameter" {
				t.Errorf("%s: got %+v", tt.text, p)
			}
			got = append(got, fmt.Sprintf("%s %s %s", p.Name, p.Reason, kindOf(p)))
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", tt.text, diff)
		}
	}
}

// kinds are the errors of package message's errors that Check may return.
var kinds = map[string]error{
	"MISSING": message.ErrMissing, "VALUE": message.ErrValue,
	"FORBIDDEN": definition.ErrForbidden, "LISTED": definition.ErrNotListed,
}

func kindOf(err error) string {
	var all []string
	for name, kind := range kinds {
		if errors.Is(err, kind) {
			all = append(all, name)
		}
	}
	return strings.Join(all, "+")
}

func TestCheckAddresses(t *testing.T) {
	d := definition.Definition{Parameters: []definition.Parameter{{Name: "p", Type: definition.Address}}}
	for _, right := range []string{
		"127.0.0.1", "127.0.0.1:0", "127.0.0.1:65535", "::", "::1", "[::1]", "[::1]:80", "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80",
	} {
		if err := d.Check(message.New("X").Set("p", right)); err != nil {
			t.Errorf("%s: %v", right, err)
		}
	}
	for _, wrong := range []string{
		" ", "12", "1.5", "1.2.3", "01.2.3.4", "1.2.3.4:", ":80", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:http", " 1.2.3.4", "1.2.3.4 ",
		"[1.2.3.4]", "[1.2.3.4]:80", "[::1", "::1]", "[::1]:", "[[::1]]", "[]", "[]:80", "[", "]", "localhost", "localhost:80",
		"example.com", "*:80", "1.2.3.4/24", "::1/64", "1.2.3.4,1.2.3.4", "/run/x.sock",
	} {
		if err := d.Check(message.New("X").Set("p", wrong)); !errors.Is(err, message.ErrValue) {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
}

// TestCheckErrorsIsAndAs: each kind is found in an error with any others.
func TestCheckErrorsIsAndAs(t *testing.T) {
	closed := wanted
	closed.Closed = true
	m := message.New("FETCH").Set("id", "x").Set("old", "").Set("other", "")
	err := closed.Check(m)
	for name, kind := range kinds {
		if !errors.Is(err, kind) {
			t.Errorf("%s is not found in %v", name, err)
		}
	}
	if errors.Is(err, message.ErrSyntax) {
		t.Error("ErrSyntax is found")
	}
	var all *definition.Error
	if !errors.As(err, &all) || all.Command != "FETCH" || len(all.Problems) != 4 {
		t.Errorf("got %+v", all)
	}
	var first *message.Error
	if !errors.As(err, &first) || first.Name != "id" || first != all.Problems[0] {
		t.Errorf("got %+v", first)
	}
	m = message.New("FETCH").Set("id", "1")
	for name, kind := range kinds {
		if err := wanted.Check(m); errors.Is(err, kind) != (name == "MISSING") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckClosed(t *testing.T) {
	fetch := definition.Definition{Command: "FETCH", Parameters: []definition.Parameter{{Name: "id"}}}
	closed := fetch
	closed.Closed = true

	set := load(t, definition.Config{Closed: true})
	if err := set.Add(&fetch); err != nil {
		t.Fatal(err)
	}
	open := load(t, definition.Config{})
	if err := open.Add(&closed); err != nil {
		t.Fatal(err)
	}
	for name, check := range map[string]func(*message.Message) error{
		"Definition.Closed":         closed.Check,
		"Definition.Closed, in Set": open.Check,
		"Config.Closed":             set.Check,
	} {
		m := message.New("FETCH").Set("id", "1").
			Set("secret_code", "x").Set("cache", "x").Set("broadcast_", "x").Set("broadcast_hops", "x")
		if err := check(m); err != nil {
			t.Errorf("%s: what travels: %v", name, err)
		}
		var got []string
		for _, p := range problemsOf(t, check(m.Set("ID", "").Set("cached", "").Set("broadcast", "").Set("zz", "").Set("id", ""))) {
			got = append(got, p.Name+" "+p.Reason+" "+kindOf(p))
		}
		want := []string{
			"id empty VALUE", "ID not known LISTED", "broadcast not known LISTED", "cached not known LISTED", "zz not known LISTED",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", name, diff)
		}
	}
	if fetch.Closed {
		t.Error("the definition was changed")
	}
	for _, m := range []*message.Message{
		message.New("HELP").Set("more", ""),
		message.New("ALIVE").Set("serial", "1").Set("x", ""),
	} {
		if set.Check(m) == nil || open.Check(m) != nil {
			t.Errorf("%s: closed %v, open %v", m.Command(), set.Check(m), open.Check(m))
		}
	}
	if err := set.Check(message.New("UNHEARD_OF").Set("x", "")); err != nil {
		t.Errorf("without a definition: %v", err)
	}
}

// TestClosedForbidsWhatTravels: what is listed counts more than what may be added on the way.
func TestClosedForbidsWhatTravels(t *testing.T) {
	d := definition.Definition{Parameters: []definition.Parameter{{Name: "cache", Forbidden: true}}, Closed: true}
	if err := d.Check(message.New("X").Set("cache", "")); !errors.Is(err, definition.ErrForbidden) {
		t.Errorf("got %v", err)
	}
}

func TestErrorText(t *testing.T) {
	err := wanted.Check(message.New("FETCH").Set("id", "x").Set("old", ""))
	const want = `definition: FETCH: parameter "id": not an integer; parameter "name": missing; parameter "old": not allowed`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// isPrintable reports whether a text is one line that a terminal shows as it is.
func isPrintable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

func TestErrorTextShowsNoValues(t *testing.T) {
	const secret = "hush\n\x1b[31m"
	m := message.New("FETCH").Set("secret_code", secret)
	for _, p := range wanted.Parameters {
		m.Set(p.Name, secret)
	}
	closed := wanted
	closed.Closed = true
	err := closed.Check(m.Set("other", secret))
	if len(problemsOf(t, err)) != 5 || strings.Contains(err.Error(), "hush") || !isPrintable(err.Error()) {
		t.Errorf("got %q", err)
	}
	for _, p := range problemsOf(t, err) {
		if strings.Contains(p.Error(), "hush") || !isPrintable(p.Error()) {
			t.Errorf("got %q", p)
		}
	}
}

// TestErrorTextIsBounded: a peer chooses how many parameters are wrong, and their names.
func TestErrorTextIsBounded(t *testing.T) {
	for _, tt := range []struct {
		wrong int
		end   string
	}{
		{10, "not known"},
		{11, "not known and 1 more"},
		{1000, "not known and 990 more"},
	} {
		m := message.New("FETCH")
		for i := range tt.wrong {
			m.Set(fmt.Sprintf("p%04d%s", i, strings.Repeat("x", 250)), "")
		}
		d := definition.Definition{Command: "FETCH", Closed: true}
		err := d.Check(m)
		if len(problemsOf(t, err)) != tt.wrong {
			t.Errorf("%d problems, want %d", len(problemsOf(t, err)), tt.wrong)
		}
		text := err.Error()
		if len(text) > 2048 || !isPrintable(text) || !strings.HasSuffix(text, tt.end) || strings.Count(text, "not known") != 10 {
			t.Errorf("%d bytes: %.200s...%s", len(text), text, text[len(text)-100:])
		}
	}
}

// TestErrorTextOfLenientNames: names that a lenient parser lets through do no harm in a log.
func TestErrorTextOfLenientNames(t *testing.T) {
	parser := message.Parser{Lenient: true, MaxName: -1}
	d := definition.Definition{Command: "X", Parameters: []definition.Parameter{{Name: "id", Required: true}}, Closed: true}
	for _, text := range []string{
		`{"command":"X","parameters":{"a\n\u001b[31m":"1","` + strings.Repeat("\U000e0001", 50) + `":""}}`,
		"X\n\x1b[31mFAKE id=1;other=1",
		strings.Repeat("X", 1<<16) + " other=1",
	} {
		m, err := parser.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Check(m); err == nil || !isPrintable(err.Error()) || len(err.Error()) > 8192 {
			t.Errorf("%d bytes: got %.300q", len(err.Error()), err)
		}
	}
}

func TestCheckFromSeveralGoroutines(t *testing.T) {
	set := load(t, definition.Config{Closed: true})
	if err := set.Add(&wanted); err != nil {
		t.Fatal(err)
	}
	right := message.New("FETCH").Set("id", "1").Set("name", "")
	wrong := message.New("FETCH").Set("id", "x").Set("other", "")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if err := set.Check(right); err != nil {
					t.Error(err)
				}
				if err := set.Check(wrong); !errors.Is(err, definition.ErrNotListed) || len(err.Error()) == 0 {
					t.Errorf("got %v", err)
				}
				if _, found := set.Lookup("ALIVE"); !found || len(set.Commands()) == 0 {
					t.Error("ALIVE is not found")
				}
			}
		})
	}
	group.Wait()
}
