package cli_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"plain text, 'quotes' and \"more\"", "plain text, 'quotes' and \"more\""},
		{"é 日本 😀", "é 日本 😀"},
		{"a\nb\r\n\tc", `a\nb\r\n\tc`},
		{"\x1b]0;title\x07\x1b[2J", `\x1b]0;title\a\x1b[2J`},
		{"\x00\x7f", `\x00\x7f`},
		{"\u009b31m", `\u009b31m`},           // a control sequence in one character
		{"\u202eabc", `\u202eabc`},           // text that runs to the left
		{"a\u200bb\ufeff", `a\u200bb\ufeff`}, // nothing to see
		{"a\u00a0b", `a\u00a0b`},
		{"\xff\xc3", `\xff\xc3`},
		{"\xed\xa0\x80", `\xed\xa0\x80`}, // half of a pair of UTF-16
		{"\ufffd", "\ufffd"},             // a character as any other
		{"\ufffd\xff", "\ufffd\\xff"},
		{"\U000e0041", `\U000e0041`},
		{`C:\new`, `C:\new`},
	} {
		if got := cli.Printable(tt.text); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	for _, text := range []string{"", "a\x1b[0m", "\xff\ufffd", "\u202e\u00a0", `\x1b`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := cli.Printable(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q: %q", text, got)
		}
		if again := cli.Printable(got); again != got {
			t.Fatalf("%q: %q becomes %q", text, got, again)
		}
		if len(got) > 6*len(text) {
			t.Fatalf("%q: %d bytes", text, len(got))
		}
	})
}
