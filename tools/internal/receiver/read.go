package receiver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// ReadSecret returns the first line of a file, without the line's end; - is stdin. Not much more than it is read.
// ctx bounds the time, as it does for ReadFile. Errors name the file.
func ReadSecret(ctx context.Context, file string, stdin io.Reader) (secret string, err error) {
	if file == "-" {
		secret, err = within(ctx, func() (string, error) { return firstLine(stdin) })
		file = "the standard input"
	} else {
		secret, err = readFile(ctx, file, firstLine)
	}
	return secret, named(file, err)
}

// ReadFile reads a file, but no more than a byte beyond the limit, which tells that there is more. When ctx ends first
// the error is ErrLate, and a goroutine may stay behind until somebody writes to the FIFO that it waits for: it is
// for programs that end then. Errors name the file.
func ReadFile(ctx context.Context, file string, limit int64) ([]byte, error) {
	text, err := readFile(ctx, file, func(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, limit+1)) })
	return text, named(file, err)
}

// named puts the name of the file in front of an error, unless it is in it.
func named(file string, err error) error {
	if path := (*fs.PathError)(nil); err == nil || errors.As(err, &path) {
		return err
	}
	return fmt.Errorf("%s: %w", file, err)
}

func readFile[T any](ctx context.Context, file string, read func(io.Reader) (T, error)) (T, error) {
	return within(ctx, func() (value T, err error) {
		f, err := os.Open(file)
		if err != nil {
			return value, err
		}
		defer func() { _ = f.Close() }()
		return read(f)
	})
}

// within returns what f does, unless ctx ends first.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if ctx.Err() != nil {
		return none, ErrLate
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ErrLate
	}
}

// firstLine reads the first line and not much beyond it.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, MaxSecret+1)).ReadString('\n')
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
