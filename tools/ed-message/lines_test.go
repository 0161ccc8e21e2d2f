package main

import (
	"bufio"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// readLines returns all lines of r, read with a buffer of the least size.
func readLines(r io.Reader, limit int) (lines []string, err error) {
	l := lineReader{r: bufio.NewReaderSize(nil, 16), max: limit}
	l.reset(r)
	for {
		line, err := l.next()
		if err != nil {
			return lines, err
		}
		lines = append(lines, string(line))
	}
}

// TestReadLines tries all texts of a few bytes around the size of the buffer and the limit.
func TestReadLines(t *testing.T) {
	const limit = 19 // with a buffer of 16
	for begin := range limit + 5 {
		for _, end := range []string{
			"", "\n", "\r", "\r\n", "\n\r\n", "\n\n", "\r\r\n", "\nb", "\rb", "\r\nb\n",
			"\n" + strings.Repeat("c", 2*limit) + "\nd", strings.Repeat("c", 2*limit) + "\nd\n",
		} {
			text := strings.Repeat("a", begin) + end
			var want []string
			for line := range strings.Lines(text) {
				line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
				want = append(want, line[:min(len(line), limit+1)])
			}
			for _, r := range []io.Reader{
				strings.NewReader(text),
				iotest.OneByteReader(strings.NewReader(text)),
				iotest.HalfReader(strings.NewReader(text)),
				iotest.DataErrReader(strings.NewReader(text)),
			} {
				if got, err := readLines(r, limit); !slices.Equal(got, want) || !errors.Is(err, io.EOF) {
					t.Errorf("%q: %v, want (-), got (+):\n%s", text, err, cmp.Diff(want, got))
				}
			}
		}
	}
}

// TestEndOfTerminal: a terminal goes on after its end, but the one who typed it meant it.
func TestEndOfTerminal(t *testing.T) {
	for _, typed := range []string{"PING", "PING\n", "", strings.Repeat("x", 20)} {
		want := strings.Fields(typed)
		terminal := &terminal{typed, "more\n"}
		if got, err := readLines(terminal, 19); !slices.Equal(got, want) || !errors.Is(err, io.EOF) || len(*terminal) != 1 {
			t.Errorf("%q: got %q, %v, left %q", typed, got, err, *terminal)
		}
	}
}

// terminal has an end after each text.
type terminal []string

func (t *terminal) Read(p []byte) (int, error) {
	if text := (*t)[0]; text != "" {
		n := copy(p, text)
		(*t)[0] = text[n:]
		return n, nil
	}
	*t = (*t)[1:]
	return 0, io.EOF
}

// TestBoundedMemory: however long a line is, no more than the limit is kept.
func TestBoundedMemory(t *testing.T) {
	const size, bound = 128 << 20, 16 << 20
	in := io.MultiReader(io.LimitReader(endless(strings.Repeat("x", 4096)), size), strings.NewReader("\nPING\n"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	status, stdout, stderr := runHere(in, "--keep-going")
	runtime.ReadMemStats(&after)
	if status != 1 || stdout != "\n{\"command\":\"PING\"}\n" || stderr != "<stdin>:1: at byte 1048576: longer than 1048576 bytes\n" {
		t.Errorf("got %d, %.50q, %q", status, stdout, stderr)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > bound {
		t.Errorf("%d bytes allocated for a line of %d", grown, size)
	}
}
