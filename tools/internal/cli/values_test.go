package cli_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

func TestSeconds(t *testing.T) {
	for _, tt := range []struct {
		text string
		want time.Duration // negative: an error
	}{
		{"0", 0},
		{"5", 5 * time.Second},
		{"0.5", time.Second / 2},
		{".25", time.Second / 4},
		{"0.3", 300 * time.Millisecond},
		{"1e3", 1000 * time.Second},
		{"+2", 2 * time.Second},
		{"500ms", time.Second / 2},
		{"1m30s", 90 * time.Second},
		{"1.5h", 90 * time.Minute},
		{"0s", 0},
		{"9223372036", 9223372036 * time.Second},
		{"9223372037", -1},
		{"1e300", -1},
		{"-1", -1},
		{"-0.001", -1},
		{"-5s", -1},
		{"-1e300", -1},
		{"3000000h", -1},
		{"", -1},
		{" 5", -1},
		{"5 s", -1},
		{"5x", -1},
		{"s", -1},
		{"NaN", -1},
		{"Inf", -1},
		{"-Inf", -1},
		{"five", -1},
		{"5,5", -1},
	} {
		got := 7 * time.Second
		err := cli.Seconds(&got).Set(tt.text)
		if tt.want < 0 && (err == nil || got != 7*time.Second) || tt.want >= 0 && (err != nil || got != tt.want) {
			t.Errorf("%q: got %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
}

// TestSecondsSaysWhy: what is too long is a time, and what is negative isn't too long.
func TestSecondsSaysWhy(t *testing.T) {
	for text, want := range map[string]string{
		"1e10": "too long", "1e300": "too long", "1e999": "too long", "9223372037": "too long", "3000000h": "too long",
		"99999999999999999999s": "too long", "2562047h1h": "too long",
		"-1": "negative", "-0.1": "negative", "-1e300": "negative", "-1e999": "negative", "-3000000h": "negative", "-5s": "negative",
		"1e-10": "too short", "0.0000000001": "too short", "0.1ns": "too short", "1e-400": "too short",
		"": "not a time", "-": "not a time", "-x": "not a time", "5x": "not a time", "Inf": "not a time", "-Inf": "not a time", "NaN": "not a time",
		"99999999999999999999y": "not a time",
	} {
		d := time.Second
		if err := cli.Seconds(&d).Set(text); err == nil || !strings.HasPrefix(err.Error(), want) || d != time.Second {
			t.Errorf("%q: got %v, %v, want %s", text, err, d, want)
		}
	}
}

func TestSecondsAsOption(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		want   time.Duration
		stderr string
	}{
		{nil, 3 * time.Second, ""},
		{[]string{"--timeout", "2"}, 2 * time.Second, ""},
		{[]string{"-t.5"}, time.Second / 2, ""},
		{
			[]string{"--timeout=-1"}, 3 * time.Second,
			"demo: invalid argument \"-1\" for \"-t, --timeout\" flag: negative; see demo --help\n",
		},
		{
			[]string{"-t", "soon"}, 3 * time.Second,
			"demo: invalid argument \"soon\" for \"-t, --timeout\" flag: " +
				"not a time: seconds, such as 5 or 0.5, or with a unit, such as 500ms, 2m or 1h; see demo --help\n",
		},
	} {
		tool, env := newTool(cli.Config{Name: "demo"}, tt.args...)
		got := 3 * time.Second
		tool.Flags.VarP(cli.Seconds(&got), "timeout", "t", "wait for that long")
		tool.Run(func([]string) error { return nil })
		if got != tt.want || env.stderr.String() != tt.stderr {
			t.Errorf("%q: got %v, %q, want %v, %q", tt.args, got, &env.stderr, tt.want, tt.stderr)
		}
		if f := tool.Flags.Lookup("timeout"); f.DefValue != "3s" || f.Value.Type() != "seconds" {
			t.Errorf("the default is %s, the type %s", f.DefValue, f.Value.Type())
		}
	}
}

func TestIsTerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []*os.File{file, r, w} {
		if cli.IsTerminal(w) {
			t.Errorf("%s is a terminal", w.Name())
		}
		_ = w.Close()
	}
	if cli.IsTerminal(file) {
		t.Error("a closed file is a terminal")
	}
	if cli.IsTerminal(&bytes.Buffer{}) {
		t.Error("a buffer is a terminal")
	}
	terminal := openTerminal(t, t.TempDir(), nil, "true")
	if !cli.IsTerminal(terminal.file) {
		t.Error("a terminal is none")
	}
	terminal.wait()
}

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \t\n\r\v\f ", nil},
		{"a", []string{"a"}},
		{"  a  b\tc\nd ", []string{"a", "b", "c", "d"}},
		{`'' ""`, []string{"", ""}},
		{`a''b`, []string{"ab"}},
		{`'a b' "c d"`, []string{"a b", "c d"}},
		{`--x='a b'c"d e"f`, []string{"--x=a bcd ef"}},
		{`'a"b' "c'd"`, []string{`a"b`, `c'd`}},
		{`a\ b \'c \"d \\e`, []string{"a b", "'c", `"d`, `\e`}},
		{`"a\"b" 'a\b'`, []string{`a"b`, `a\b`}},
		{`\a`, []string{"a"}},
		{"a\u00a0b", []string{"a\u00a0b"}}, // no white space to a shell
		{"é 日本 \\é", []string{"é", "日本", "é"}},
		{"\xff\x85 '\xff'", []string{"\xff\x85", "\xff"}}, // names of files may have such bytes
		{"$HOME `id` $(id) * ~ #x ; | > &", []string{"$HOME", "`id`", "$(id)", "*", "~", "#x", ";", "|", ">", "&"}},
		{"a\x00b", []string{"a\x00b"}},
	} {
		if got, err := cli.Words(tt.text); !slices.Equal(got, tt.want) || err != nil {
			t.Errorf("%q: got %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{`'`, `"`, `a 'b`, `a "b`, `"a\"`, `a\`, `'a'"`, `\`, `'\''`} {
		if got, err := cli.Words(text); got != nil || !errors.Is(err, cli.ErrQuote) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}

// TestWordsOfShell: a shell splits the same words, where there is nothing to expand.
func TestWordsOfShell(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	for _, text := range []string{
		`a b  c`, `'a b' "c d" e\ f`, `--x='a b'c"d e"f`, `'' "" x`, `'a"b' "c'd"`, `"a\"b\\c" 'a\b' \\`, "é\xff",
	} {
		out, err := exec.Command("sh", "-c", `for word in `+text+`; do printf '%s\0' "$word"; done`).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		if got, err := cli.Words(text); !slices.Equal(got, want) || err != nil {
			t.Errorf("%s: got %q, %v, sh has %q", text, got, err, want)
		}
	}
}

// FuzzWords: what is quoted comes back as it was, and nothing is lost or made up.
func FuzzWords(f *testing.F) {
	for _, text := range []string{"", `a 'b c' "d\"e" f\ g`, `'`, `\`, "é\xff\x00", " \t\n\r\v\f", `''`, `"\`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := cli.Words(text)
		if err != nil && (words != nil || !errors.Is(err, cli.ErrQuote)) {
			t.Fatalf("%q: %q, %v", text, words, err)
		}
		if len(strings.Join(words, "")) > len(text) {
			t.Fatalf("%q: more comes out: %q", text, words)
		}
		if !strings.ContainsAny(text, `'"\`) {
			ascii := func(r rune) bool { return strings.ContainsRune(" \t\n\r\v\f", r) }
			if want := strings.FieldsFunc(text, ascii); !slices.Equal(words, want) {
				t.Fatalf("%q: got %q, want %q", text, words, want)
			}
		}
		for _, quote := range []func(string) string{
			func(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" },
			func(word string) string { return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(word) + `"` },
		} {
			var quoted []string
			for _, word := range append(words, text) {
				quoted = append(quoted, quote(word))
			}
			again, err := cli.Words(strings.Join(quoted, " "))
			if err != nil || !slices.Equal(again, append(words, text)) {
				t.Fatalf("%q: quoted as %q it is %q, %v", text, quoted, again, err)
			}
		}
	})
}
