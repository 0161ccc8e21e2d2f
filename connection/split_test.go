//go:build linux

package connection_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// framesOf splits pieces of input on a loop of its own.
func framesOf(tb testing.TB, split bufio.SplitFunc, in ...string) (frames []string, cause error) {
	tb.Helper()
	loop, _ := looptest.New(tb)
	h := &frameHandler{frame: func(frame []byte) { frames = append(frames, string(frame)) }, cause: &cause}
	newStream(tb, loop, newPieces(tb, in...), connection.Split(split, h), connection.StreamConfig{})
	run(tb, loop)
	return frames, cause
}

type frameHandler struct {
	frame func([]byte)
	cause *error
}

func (h *frameHandler) HandleFrame(_ *connection.Stream, frame []byte) error {
	h.frame(frame)
	return nil
}

func (h *frameHandler) HandleClose(_ *connection.Stream, cause error) { *h.cause = cause }

// scanned is what bufio.Scanner makes of the input.
func scanned(split bufio.SplitFunc, text string) (frames []string, err error) {
	scanner := bufio.NewScanner(strings.NewReader(text))
	scanner.Split(split)
	for scanner.Scan() {
		frames = append(frames, scanner.Text())
	}
	return frames, scanner.Err()
}

// splitCommas is the one of bufio's example, whose last field may be empty.
func splitCommas(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, ','); i >= 0 {
		return i + 1, data[:i], nil
	}
	if !atEOF {
		return 0, nil, nil
	}
	return 0, data, bufio.ErrFinalToken
}

var splitFuncs = []struct {
	name  string
	split bufio.SplitFunc
}{
	{"lines", bufio.ScanLines}, {"words", bufio.ScanWords}, {"runes", bufio.ScanRunes}, {"bytes", bufio.ScanBytes},
	{"commas", splitCommas},
}

// TestSplitAsScanner cuts inputs at each position: the frames are those of bufio.Scanner.
func TestSplitAsScanner(t *testing.T) {
	for _, f := range splitFuncs {
		t.Run(f.name, func(t *testing.T) {
			for _, text := range []string{
				"", "\n", "\n\n", "a", "one\ntwo, three\r\n\r\n four,\n", "1,2,3,", ",", "ünï,cödé\n€", "\xff\xfe,\xe2\x82",
			} {
				want, wantErr := scanned(f.split, text)
				for at := range len(text) + 1 {
					got, err := framesOf(t, f.split, cut(text, at)...)
					if !slices.Equal(got, want) || !errors.Is(err, wantErr) {
						t.Errorf("%q cut at %d: got %q, %v; want %q, %v", text, at, got, err, want, wantErr)
					}
				}
				got, _ := framesOf(t, f.split, strings.Split(text, "")...)
				if valid := strings.ToValidUTF8(text, "") == text; valid && !slices.Equal(got, want) {
					t.Errorf("%q in small pieces: got %q, want %q", text, got, want)
				}
			}
		})
	}
}

// TestSplitEmptyFrames: many empty frames are no lack of progress as long as bytes are consumed.
func TestSplitEmptyFrames(t *testing.T) {
	frames, cause := framesOf(t, bufio.ScanLines, strings.Repeat("\n", 10_000))
	if len(frames) != 10_000 || cause != nil {
		t.Errorf("%d frames, %v", len(frames), cause)
	}
	frames, cause = framesOf(t, func(data []byte, _ bool) (int, []byte, error) { return 0, data[:0], nil }, "x")
	if len(frames) > 101 || !errors.Is(cause, connection.ErrNoProgress) {
		t.Errorf("%d frames, %v", len(frames), cause)
	}
}

// FuzzSplit cuts random input at random positions and compares with bufio.Scanner.
func FuzzSplit(f *testing.F) {
	f.Add("one\ntwo\r\n\nthree", uint16(3), uint16(5), uint16(6), byte(0))
	f.Add("1,2,,3,", uint16(1), uint16(2), uint16(7), byte(4))
	f.Add("", uint16(0), uint16(0), uint16(0), byte(1))
	f.Add("a \x00 \u00a0 \xff b", uint16(4), uint16(5), uint16(6), byte(1))
	f.Fuzz(func(t *testing.T, text string, a, b, c uint16, kind byte) {
		if len(text) > 10_000 {
			return
		}
		split := splitFuncs[int(kind)%len(splitFuncs)].split
		positions := []int{int(a), int(b), int(c)}
		slices.Sort(positions)
		want, wantErr := scanned(split, text)
		got, err := framesOf(t, split, cut(text, positions...)...)
		if !slices.Equal(got, want) || !errors.Is(err, wantErr) {
			t.Errorf("%q cut at %d: got %q, %v; want %q, %v", text, positions, got, err, want, wantErr)
		}
	})
}

// countLines is a model of a message connection: what of a text are messages and what is noise.
func countLines(text string) (messages, skipped int, unended bool) {
	lines := strings.SplitAfter(text, "\n")
	for _, line := range lines {
		body, ended := strings.CutSuffix(line, "\n")
		if !ended {
			return messages, skipped, body != ""
		}
		switch err := new(message.Message).UnmarshalText([]byte(strings.TrimSuffix(body, "\r"))); {
		case err == nil:
			messages++
		case !errors.Is(err, message.ErrEmpty):
			skipped++
		}
	}
	return messages, skipped, false
}

func checkMessages(tb testing.TB, text string, at ...int) {
	tb.Helper()
	loop, log := looptest.New(tb)
	p := newPieces(tb, cut(text, at...)...)
	var cause error
	handled := 0
	h := message.HandlerFunc(func(from message.Sender, _ *message.Message) error {
		handled++
		return from.Send(message.New("OK"))
	})
	c, err := connection.NewMessageConn(loop, p, h, connection.MessageConfig{
		Closed: func(_ *connection.MessageConn, err error) { cause = err },
	})
	if err != nil {
		tb.Fatal(err)
	}
	run(tb, loop)
	messages, skipped, unended := countLines(text)
	if handled != messages || c.Received() != uint64(messages) || c.Skipped() != uint64(skipped) || c.Sent() != uint64(messages+skipped) {
		tb.Errorf("%q cut at %d: %d handled, counted %d received, %d skipped, %d sent; want %d, %d",
			text, at, handled, c.Received(), c.Skipped(), c.Sent(), messages, skipped)
	}
	want := error(nil)
	if unended {
		want = io.ErrUnexpectedEOF
	}
	if !errors.Is(cause, want) {
		tb.Errorf("%q: ended with %v, want %v", text, cause, want)
	}
	if n := len(log.Containing("no message")); n != min(1, skipped) {
		tb.Errorf("%q: %d lines logged for %d skipped", text, n, skipped)
	}
	ok, invalid := 0, 0
	for line := range strings.Lines(p.out.String()) {
		switch m, err := message.Parse(line); {
		case err != nil:
			tb.Errorf("%q: answered %q: %v", text, line, err)
		case m.Command() == "OK":
			ok++
		case m.Command() == message.CommandInvalid:
			invalid++
		}
	}
	if ok != messages || invalid != skipped {
		tb.Errorf("%q: %d OK and %d INVALID written, want %d and %d", text, ok, invalid, messages, skipped)
	}
}

func TestMessageLines(t *testing.T) {
	for _, text := range []string{
		"", "\n", "PING\n", "PING a=1;b=\"x;y\"\r\nnonsense\n\n", "<a:b c/PING\n{\"command\":\"PING\"}\n\x00\xff\n", "PING", "PING\nPIN",
	} {
		for at := range len(text) + 1 {
			checkMessages(t, text, at)
		}
		every := make([]int, len(text))
		for i := range every {
			every[i] = i
		}
		checkMessages(t, text, every...)
	}
}

// FuzzMessageLines: whatever comes, in whatever pieces, is a message or counted noise.
func FuzzMessageLines(f *testing.F) {
	f.Add("PING\nPING a=1;b=\"x;y\"\r\nnonsense\n\nPING", uint16(3), uint16(7), uint16(25))
	f.Add("\x00\n\xff\n   \n<a:b c/PING\n", uint16(1), uint16(2), uint16(5))
	f.Fuzz(func(t *testing.T, text string, a, b, c uint16) {
		if len(text) > 10_000 {
			return
		}
		positions := []int{int(a), int(b), int(c)}
		slices.Sort(positions)
		checkMessages(t, text, positions...)
	})
}

// TestCork: the answers to the frames of one read are one write, also when the stream is closed behind them.
func TestCork(t *testing.T) {
	for _, closing := range []bool{false, true} {
		loop, _ := looptest.New(t)
		p := newPieces(t, strings.Repeat("x\n", 1000))
		n := 0
		h := connection.FrameFunc(func(s *connection.Stream, _ []byte) error {
			n++
			_, err := fmt.Fprintf(s, "%d ", n)
			if closing && n == 500 {
				s.Close()
			}
			return err
		})
		newStream(t, loop, p, connection.Split(bufio.ScanLines, h), connection.StreamConfig{})
		run(t, loop)
		var want strings.Builder
		for i := range n {
			fmt.Fprintf(&want, "%d ", i+1)
		}
		if p.out.String() != want.String() || p.writes != 1 || closing && n != 500 {
			t.Errorf("%d frames, %d bytes in %d writes, want %d in 1", n, p.out.Len(), p.writes, want.Len())
		}
	}
}

// TestCorkedError: what was answered before a handler failed is written.
func TestCorkedError(t *testing.T) {
	loop, _ := looptest.New(t)
	p := newPieces(t, "1\n2\n3\n")
	h := connection.FrameFunc(func(s *connection.Stream, frame []byte) error {
		if string(frame) == "3" {
			return errTest
		}
		_, err := s.Write(frame)
		return err
	})
	newStream(t, loop, p, connection.Split(bufio.ScanLines, h), connection.StreamConfig{})
	run(t, loop)
	if p.out.String() != "12" {
		t.Errorf("wrote %q", p.out.String())
	}
}
