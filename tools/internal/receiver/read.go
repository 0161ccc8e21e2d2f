package receiver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// SecretVariable is the environment variable with the secret, for those who give none otherwise.
const SecretVariable = "ED_SIGNAL_SECRET"

// MaxSecret bounds the secret of ReadSecret, in bytes.
const MaxSecret = 64 << 10

// The errors of reading, besides those of the operating system.
var (
	// ErrLate says that the context ended first, as it does for a FIFO that nobody writes to.
	ErrLate = errors.New("not read in time")
	// ErrNoSecret says that there is nothing in the first line.
	ErrNoSecret = errors.New("the first line is empty")
	// ErrLongSecret says that the first line is longer than MaxSecret.
	ErrLongSecret = fmt.Errorf("the first line is longer than %d bytes", MaxSecret)
)

// ReadSecret returns the first line of a file, without the line's end; - is stdin. Not much more than that line is read.
// ctx bounds the time, as it does for ReadFile. Errors name the file.
func ReadSecret(ctx context.Context, file string, stdin io.Reader) (secret string, err error) {
	if file == "-" {
		secret, err = within(ctx, func() (string, error) { return firstLine(stdin) })
		if err != nil {
			return "", fmt.Errorf("the standard input: %w", err)
		}
		return secret, nil
	}
	return within(ctx, func() (string, error) { return readFile(file, firstLine) })
}

// ReadFile reads a file, but no more than a byte beyond the limit, which tells that there is more. When ctx ends first
// the error is ErrLate, and a goroutine stays behind until somebody opens the FIFO that it waits for, or writes to it: it
// is for programs that end then. Errors name the file.
func ReadFile(ctx context.Context, file string, limit int64) ([]byte, error) {
	return within(ctx, func() ([]byte, error) {
		return readFile(file, func(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, limit+1)) })
	})
}

// within returns what f does, unless ctx ends first.
func within[T any](ctx context.Context, f func() (T, error)) (value T, err error) {
	done := make(chan struct{})
	var result T
	var failed error
	go func() {
		result, failed = f()
		close(done)
	}()
	select {
	case <-done:
		return result, failed
	case <-ctx.Done():
		return value, ErrLate
	}
}

func readFile[T any](file string, read func(io.Reader) (T, error)) (value T, err error) {
	f, err := os.Open(file)
	if err != nil {
		return value, err
	}
	defer func() { _ = f.Close() }()
	return read(f)
}

// firstLine reads the first line and not much beyond it.
func firstLine(r io.Reader) (string, error) {
	// Room for the end of a line, CR LF, behind the longest one.
	line, err := bufio.NewReader(io.LimitReader(r, MaxSecret+2)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	switch line = strings.TrimRight(line, "\r\n"); {
	case line == "":
		return "", ErrNoSecret
	case len(line) > MaxSecret:
		return "", ErrLongSecret
	}
	return line, nil
}
