package receiver_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

func TestReadSecret(t *testing.T) {
	long := strings.Repeat("x", receiver.MaxSecret)
	for text, want := range map[string]string{
		"secret":           "secret",
		"secret\n":         "secret",
		"secret\r\nmore\n": "secret",
		" a b \n":          " a b ",
		long:               long,
		long + "\r\nmore":  long,
	} {
		file := write(t, text)
		if got, err := receiver.ReadSecret(t.Context(), file, nil); got != want || err != nil {
			t.Errorf("%.20q: got %.20q, %v", text, got, err)
		}
		if got, err := receiver.ReadSecret(t.Context(), "-", strings.NewReader(text)); got != want || err != nil {
			t.Errorf("%.20q: got %.20q, %v", text, got, err)
		}
	}
	for text, want := range map[string]error{
		"":                receiver.ErrNoSecret,
		"\n":              receiver.ErrNoSecret,
		"\r\nx\n":         receiver.ErrNoSecret,
		long + "x":        receiver.ErrLongSecret,
		long + "x\n":      receiver.ErrLongSecret,
		long + "xx\r\n":   receiver.ErrLongSecret,
		long + long + "y": receiver.ErrLongSecret,
	} {
		file := write(t, text)
		if got, err := receiver.ReadSecret(t.Context(), file, nil); got != "" || !errors.Is(err, want) || !strings.HasPrefix(err.Error(), file+": ") {
			t.Errorf("%.20q: got %.20q, %v", text, got, err)
		}
		got, err := receiver.ReadSecret(t.Context(), "-", strings.NewReader(text))
		if got != "" || !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "the standard input: ") {
			t.Errorf("%.20q: got %.20q, %v", text, got, err)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := receiver.ReadSecret(t.Context(), missing, nil); !errors.Is(err, fs.ErrNotExist) || strings.Count(err.Error(), missing) != 1 {
		t.Errorf("got %v", err)
	}
	if _, err := receiver.ReadSecret(t.Context(), t.TempDir(), nil); !errors.Is(err, unix.EISDIR) {
		t.Errorf("a folder: %v", err)
	}
}

func TestReadFile(t *testing.T) {
	file := write(t, "0123456789")
	for limit, want := range map[int64]string{20: "0123456789", 10: "0123456789", 9: "0123456789", 8: "012345678", 0: "0"} {
		if got, err := receiver.ReadFile(t.Context(), file, limit); string(got) != want || err != nil {
			t.Errorf("%d: got %q, %v", limit, got, err)
		}
	}
	if _, err := receiver.ReadFile(t.Context(), file+"x", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestPipe: what a program writes is waited for, as in --secret-file <(program).
func TestPipe(t *testing.T) {
	fifo := makeFIFO(t)
	ended := make(chan error)
	go func() { ended <- os.WriteFile(fifo, []byte("secret\nmore\n"), 0) }()
	if got, err := receiver.ReadSecret(t.Context(), fifo, nil); got != "secret" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestLate: neither a FIFO that nobody opens, nor one that nobody writes to, nor a standard input without end takes
// longer than the context.
func TestLate(t *testing.T) {
	var release *os.File
	t.Cleanup(func() { _ = release.Close() }) // when the folders are gone: nobody can come to wait then
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	stdin, unused := io.Pipe()
	defer func() { _ = unused.Close() }()
	if got, err := receiver.ReadSecret(ctx, "-", stdin); got != "" || !errors.Is(err, receiver.ErrLate) || err.Error() != "the standard input: not read in time" {
		t.Errorf("the standard input: %q, %v", got, err)
	}
	unopened, silent := makeFIFO(t), makeFIFO(t)
	writer, err := os.OpenFile(silent, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	for _, fifo := range []string{unopened, silent} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if got, err := receiver.ReadSecret(ctx, fifo, nil); got != "" || !errors.Is(err, receiver.ErrLate) || err.Error() != fifo+": not read in time" {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := receiver.ReadFile(ctx, fifo, 10); got != nil || // it has ended before
			!errors.Is(err, receiver.ErrLate) {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if release, err = os.OpenFile(unopened, os.O_RDWR, 0); err != nil { // who waits there may go
		t.Fatal(err)
	}
}

func write(tb testing.TB, text string) (file string) {
	tb.Helper()
	file = filepath.Join(tb.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

func makeFIFO(tb testing.TB) (file string) {
	tb.Helper()
	file = filepath.Join(tb.TempDir(), "fifo")
	if err := unix.Mkfifo(file, 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}
