package definition_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// writeFile writes a file, and makes its folder.
func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// parse returns the parameters of a definition without mistakes.
func parse(t *testing.T, text string) []definition.Parameter {
	t.Helper()
	d, err := definition.Parse("CMD", "CMD.conf", []byte(text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if d.Command != "CMD" || d.Closed {
		t.Errorf("%q: got %+v", text, d)
	}
	return d.Parameters
}

func TestParse(t *testing.T) {
	type all = []definition.Parameter
	for _, tt := range []struct {
		text string
		want all
	}{
		{"", nil},
		{"\n\n  \t\r\n# only a comment\n  ; another\n", nil},
		{"[a]\ntype=string", all{{Name: "a", Required: true, Empty: true}}},
		{"[a]\nflags=", all{{Name: "a"}}},
		{"[a]\nflags=,,\n", all{{Name: "a"}}},
		{"[a]\nflags=optional,defined,allowed\n", all{{Name: "a"}}},
		{"[a]\nflags=empty,required\n", all{{Name: "a", Required: true, Empty: true}}},
		{"[a]\nflags=forbidden\n", all{{Name: "a", Forbidden: true}}},
		{"[a]\nflags=forbidden,empty\n", all{{Name: "a", Forbidden: true, Empty: true}}},
		{"[a]\ndescription = it = that # and ; all\n", all{{Name: "a", Required: true, Empty: true, Description: "it = that # and ; all"}}},
		{"[a]\nDescription = other\nTYPE=x\n", all{{Name: "a", Required: true, Empty: true}}}, // other keys

		// White space.
		{" [ a ] \n\ttype\t=\t integer \n", all{{Name: "a", Type: definition.Integer, Required: true, Empty: true}}},

		// Sections in parts, the last value counts, dashes.
		{"[z]\nflags=\n[a]\nflags=\n[m]\nflags=\n", all{{Name: "a"}, {Name: "m"}, {Name: "z"}}},
		{"[a]\ntype=integer\n[b]\nflags=\n[a]\nflags=\n", all{{Name: "a", Type: definition.Integer}, {Name: "b"}}},
		{"[a]\n[a]\nflags=\n", all{{Name: "a"}}},
		{"[a-b]\ntype=address\n[a_b]\nflags=\n", all{{Name: "a_b", Type: definition.Address}}},
		{"[a]\nflags=required\nflags=forbidden\n", all{{Name: "a", Forbidden: true}}},
		{"[a]\nflags=forbidden\nflags=empty\n", all{{Name: "a", Empty: true}}},
		{"[a]\ntype=integer\ntype=default\n", all{{Name: "a", Required: true, Empty: true}}},
		{"[b]\nflags=\n[B]\nflags=\n[_]\nflags=\n", all{{Name: "B"}, {Name: "_"}, {Name: "b"}}},

		// Quotes.
		{"[a]\ntype=\"timespec\"\nflags='required'\n", all{{Name: "a", Type: definition.Timespec, Required: true}}},
		{"[a]\nflags=\"\"\n", all{{Name: "a"}}},
		{"[a]\nflags=\ndescription='  it''s \"so\" '\n", all{{Name: "a", Description: `  it''s "so" `}}},
		{"[a]\nflags=\ndescription=\"half\n", all{{Name: "a", Description: `"half`}}},
		{"[a]\nflags=\ndescription='other\"\n", all{{Name: "a", Description: `'other"`}}},
		{"[a]\nflags=\ndescription='\n", all{{Name: "a", Description: `'`}}},
	} {
		if diff := cmp.Diff(tt.want, parse(t, tt.text)); diff != "" {
			t.Errorf("%q: want (-), got (+):\n%s", tt.text, diff)
		}
	}
}

func TestParseLinesEndingInCRLF(t *testing.T) {
	text := "# comment\n[a]\ntype = integer\ndescription = \"quoted\"\n\n[b]\nflags = required,empty\n"
	want := parse(t, text)
	if diff := cmp.Diff(want, parse(t, strings.ReplaceAll(text, "\n", "\r\n"))); diff != "" {
		t.Errorf("LF (-), CRLF (+):\n%s", diff)
	}
	wantProblems(t, "[a]\r\ntype = int\r\n", `CMD.conf:2: no such type: "int"`)
}

// wantProblems parses a text and compares what is wrong with it, one problem a line.
func wantProblems(t *testing.T, text string, want ...string) {
	t.Helper()
	d, err := definition.Parse("CMD", "CMD.conf", []byte(text))
	if err == nil || d != nil {
		t.Errorf("%q: got %+v, %v", text, d, err)
		return
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("%q: want (-), got (+):\n%s", text, diff)
	}
}

func TestParseProblems(t *testing.T) {
	const (
		neither   = "neither [parameter] nor key=value nor a comment"
		noSection = "not a section: [parameter]"
		noKey     = "has no key: the C++ library ignores it; add a type or flags"
	)
	for _, tt := range []struct{ text, want string }{
		{"[a]\ntype=float\n", `2: no such type: "float"`},
		{"[a]\ntype=INTEGER\n", `2: no such type: "INTEGER"`},
		{"[a]\ntype=\n", `2: no such type: ""`},
		{"[a]\ntype=integer # no comment\n", `2: no such type: "integer # no comment"`},
		{"[a]\ntype=' integer'\n", `2: no such type: " integer"`},
		{"[a]\ntype='integer\"\n", `2: no such type: "'integer\""`},
		{"[a]\nflags=mandatory\n", `2: no such flag: "mandatory"`},
		{"[a]\nflags=required, empty\n", `2: no such flag: " empty"`},
		{"[a]\nflags=Required\n", `2: no such flag: "Required"`},
		{"[a]\nflags=forbidden,required\n", "2: both required and forbidden"},
		{"[a]\n", `1: section "a" ` + noKey},
		{"[a]\nflags=\n\n[b]\n# nothing\n", `4: section "b" ` + noKey},
		{"type=integer\n", `1: key "type" in front of the first section`},
		{"\n\n[a]\nflags=\n[a b]\ntype=x\n", `5: "a b" is not the name of a parameter`},
		{"[a::b]\nflags=\n", `1: "a::b" is not the name of a parameter`},
		{"[1a]\nflags=\n", `1: "1a" is not the name of a parameter`},
		{"[]\nflags=\n", `1: "" is not the name of a parameter`},
		{"[é]\nflags=\n", `1: "é" is not the name of a parameter`},
		{"[\x1b]\nflags=\n", `1: "\x1b" is not the name of a parameter`},
		{"[a\nflags=\n", "1: " + noSection},
		{"[a] # comment\nflags=\n", "1: " + noSection},
		{"[a]\nflags=\nrubbish\n", "3: " + neither},
		{"[a]\nflags=\ntype: integer\n", "3: " + neither},
		{"[a]\nflags=\n= value\n", "3: " + neither},
		{"[a]\nflags=\n\x00\n", "3: " + neither},

		{"[a]\nflags\n", "2: " + neither}, // and not that the section has no key
		{"[1-a]\nflags=\n", `1: "1-a" is not the name of a parameter`},
		{"# c\r[a]\rtype=integer\r", "1: a carriage return inside a line"},

		// A byte order mark is no white space, not even in front of a comment.
		{"\ufeff", "1: a byte order mark"},
		{"\ufeff# comment\n[a]\nflags=\n", "1: a byte order mark"},
		{"\ufeff# a = b\n[a]\nflags=\n", "1: a byte order mark"},
	} {
		wantProblems(t, tt.text, "CMD.conf:"+tt.want)
	}
}

// TestParseAllProblemsAtOnce: in the order of their lines, each with what errors.As finds.
func TestParseAllProblemsAtOnce(t *testing.T) {
	const text = `key = in front
[b]
[a]
type = float
flags = mandatory,required,forbidden
rubbish
[c-1
[a]
[d d]
type = not looked at
[e]
`
	d, err := definition.Parse("no command", "dir/x.conf", []byte(text))
	var joined interface{ Unwrap() []error }
	if d != nil || !errors.As(err, &joined) {
		t.Fatalf("got %+v, %v", d, err)
	}
	var got []definition.FileError
	for _, one := range joined.Unwrap() {
		var e *definition.FileError
		if !errors.As(one, &e) {
			t.Fatalf("%T: %v", one, one)
		}
		got = append(got, *e)
	}
	want := []definition.FileError{
		{File: "dir/x.conf", Line: 0, Reason: `"no command" is not the name of a command`},
		{File: "dir/x.conf", Line: 1, Reason: `key "key" in front of the first section`},
		{File: "dir/x.conf", Line: 2, Reason: `section "b" has no key: the C++ library ignores it; add a type or flags`},
		{File: "dir/x.conf", Line: 4, Reason: `no such type: "float"`},
		{File: "dir/x.conf", Line: 5, Reason: `no such flag: "mandatory"`},
		{File: "dir/x.conf", Line: 5, Reason: "both required and forbidden"},
		{File: "dir/x.conf", Line: 6, Reason: "neither [parameter] nor key=value nor a comment"},
		{File: "dir/x.conf", Line: 7, Reason: "not a section: [parameter]"},
		{File: "dir/x.conf", Line: 9, Reason: `"d d" is not the name of a parameter`},
		{File: "dir/x.conf", Line: 11, Reason: `section "e" has no key: the C++ library ignores it; add a type or flags`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	if first, _, _ := strings.Cut(err.Error(), "\n"); first != `dir/x.conf: "no command" is not the name of a command` {
		t.Errorf("the first line is %q", first)
	}
}

func TestParseProblemsOfTheCommand(t *testing.T) {
	for _, command := range []string{"", "lower", "A-B", "1A", "A\nB", "É"} {
		d, err := definition.Parse(command, "f", nil)
		if want := fmt.Sprintf("f: %q is not the name of a command", command); d != nil || err == nil || err.Error() != want {
			t.Errorf("%q: got %+v, %v", command, d, err)
		}
	}
}

func TestTypeString(t *testing.T) {
	for want, kind := range map[string]definition.Type{
		"string": definition.String, "integer": definition.Integer, "address": definition.Address,
		"timespec": definition.Timespec, "Type(4)": 4, "Type(255)": 255,
	} {
		if got := kind.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// render writes a definition as a file.
func render(d *definition.Definition) string {
	var b strings.Builder
	for _, p := range d.Parameters {
		var flags []string
		for flag, set := range map[string]bool{"required": p.Required, "empty": p.Empty, "forbidden": p.Forbidden} {
			if set {
				flags = append(flags, flag)
			}
		}
		fmt.Fprintf(&b, "[%s]\ntype = %s\nflags = %s\n", p.Name, p.Type, strings.Join(flags, ","))
		b.WriteString(`description = "` + p.Description + "\"\n")
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("messages", "ABSOLUTELY.conf"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("ABSOLUTELY", data)
	for _, seed := range []string{
		"", "\n", "# c\n; d", "[a]", "[a]\ntype=integer\n[a]\nflags=,required,\n", "[my-name]\r\ntype = 'address'\r\n",
		"[a]\ndescription = \"\"\"\nflags=empty", "[b]\ntype=timespec\n[a]\nflags=forbidden", "a=b\n[a::b]\nc",
		"[a]\nflags=required,forbidden", "[A]\n0=", "\ufeff[a]\nflags=", "[a]\n=\n", "[a]\r[b]\rflags=\r", "[a]\ndescription=\x00\xff\v\f",
	} {
		f.Add("CMD", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, command string, text []byte) {
		if message.New(command).Err() != nil {
			if d, err := definition.Parse(command, "file", text); d != nil || err == nil {
				t.Fatalf("command %q: got %+v, %v", command, d, err)
			}
			command = "CMD"
		}
		d, err := definition.Parse(command, "file", text)
		if err != nil {
			if d != nil {
				t.Fatalf("both %+v and %v", d, err)
			}
			var problem *definition.FileError
			if !errors.As(err, &problem) || problem.File != "file" {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if d.Command != command {
			t.Fatalf("the command is %q, want %q", d.Command, command)
		}
		for i, p := range d.Parameters {
			if err := message.New("X").Set(p.Name, "").Err(); p.Name == "" || err != nil {
				t.Fatalf("parameter %q: %v", p.Name, err)
			}
			if i > 0 && p.Name <= d.Parameters[i-1].Name {
				t.Fatalf("not sorted: %q", p.Name)
			}
		}
		if err := new(definition.Set).Add(d); err != nil {
			t.Fatal(err)
		}
		again, err := definition.Parse(command, "file", []byte(render(d)))
		if err != nil {
			t.Fatalf("%q: %v", render(d), err)
		}
		d.Ignored = nil // which are not rendered
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatalf("first (-), again (+):\n%s", diff)
		}

		// A message that has what is required, and nothing else, passes.
		m := message.New(command)
		for _, p := range d.Parameters {
			switch {
			case !p.Required:
			case p.Type == definition.Address:
				m.Set(p.Name, "::1")
			default:
				m.Set(p.Name, "1")
			}
		}
		if err := d.Check(m); err != nil {
			t.Fatal(err)
		}
	})
}

// TestParseGivesUp: a file of something else does not make a log of megabytes.
func TestParseGivesUp(t *testing.T) {
	_, err := definition.Parse("CMD", "CMD.conf", bytes.Repeat([]byte("\x00\n"), 1<<18))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 101 || lines[100] != "CMD.conf:100: too many problems" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
	_, err = definition.Parse("CMD", "CMD.conf", []byte("["+strings.Repeat("a", 1<<19)+"]\ntype="+strings.Repeat("b", 1<<19)))
	if len(err.Error()) > 200 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// TestIgnoredKeys: what may be misspelt can be told.
func TestIgnoredKeys(t *testing.T) {
	d, err := definition.Parse("CMD", "CMD.conf", []byte("[a]\ntyp=integer\nflags=\n[b]\nflag = optional\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, key := range d.Ignored {
		got = append(got, key.Error())
	}
	want := []string{`CMD.conf:2: key "typ" is ignored`, `CMD.conf:5: key "flag" is ignored`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	// That something is wrong as well hides none of them.
	d, err = definition.Parse("CMD", "CMD.conf", []byte("typ = x\n[a]\ntyp=integer\nflags=none\n[b]\nflag = optional\n"))
	wrong := (*definition.ParseError)(nil)
	if !errors.As(err, &wrong) || d != nil {
		t.Fatalf("got %v, %v", d, err)
	}
	first := (*definition.FileError)(nil)
	if !errors.As(err, &first) || first != wrong.Problems[0] || first.Line != 1 {
		t.Errorf("the first problem is %v", first)
	}
	got = nil
	for _, key := range wrong.Ignored {
		got = append(got, key.Error())
	}
	want = []string{`CMD.conf:3: key "typ" is ignored`, `CMD.conf:6: key "flag" is ignored`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with problems: want (-), got (+):\n%s", diff)
	}
	const problems = "CMD.conf:1: key \"typ\" in front of the first section\nCMD.conf:4: no such flag: \"none\""
	if err.Error() != problems {
		t.Errorf("got %q, want %q", err, problems)
	}

	_, err = definition.Parse("CMD", "CMD.conf", []byte(manySections()))
	if lines := strings.Count(err.Error(), "\n") + 1; lines > 101 {
		t.Errorf("%d problems", lines)
	}
}

func manySections() string {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "[p%d]\n", i)
	}
	return b.String()
}
