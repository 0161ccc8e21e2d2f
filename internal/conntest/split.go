//go:build linux

package conntest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var splitCases = []testCase{
	{"CutAnywhere", testSplitCutAnywhere},
	{"LongFrames", testSplitLongFrames},
	{"MaxInput", testSplitMaxInput},
	{"LastFrameAtEOF", testSplitLastFrameAtEOF},
	{"RestAtEOF", testSplitRestAtEOF},
	{"CloseInLastFrame", testSplitCloseInLastFrame},
	{"FinalToken", testSplitFinalToken},
	{"Errors", testSplitErrors},
	{"Pause", testSplitPause},
	{"PauseThenEOF", testSplitPauseThenEOF},
	{"HeldAtEOF", testSplitHeldAtEOF},
	{"Corked", testSplitCorked},
	{"CorkedLarge", testSplitCorkedLarge},
}

// frames is a probe for frames.
type frames struct {
	*probe
	frame func(s *connection.Stream, frame []byte) error
}

func (f frames) HandleFrame(s *connection.Stream, frame []byte) error {
	defer f.enter(s, "HandleFrame")()
	return f.frame(s, frame)
}

// eofFrames handles the peer's end too.
type eofFrames struct{ frames }

func (f eofFrames) HandleEOF(s *connection.Stream, rest []byte) error {
	return eofProbe{f.probe}.HandleEOF(s, rest)
}

// splitPrefixed cuts frames with four bytes of length in front.
func splitPrefixed(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if len(data) >= 4 {
		if end := 4 + int(binary.BigEndian.Uint32(data)); len(data) >= end {
			return end, data[4:end], nil
		}
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

func prefixed(text string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) + text
}

func line(text string) string { return text + "\n" }

// framings are the ways to cut frames that are tried.
var framings = []struct {
	name  string
	split bufio.SplitFunc
	make  func(text string) string
}{
	{"lines", bufio.ScanLines, line},
	{"prefixed", splitPrefixed, prefixed},
}

func testSplitCutAnywhere(t *testing.T, env Env) {
	texts := []string{"one", "", "two words", "3"}
	for _, framing := range framings {
		t.Run(framing.name, func(t *testing.T) {
			input := ""
			for _, text := range texts {
				input += framing.make(text)
			}
			f := frames{probe: newProbe(t)}
			var got []string
			f.frame = func(_ *connection.Stream, frame []byte) error {
				got = append(got, string(frame))
				return nil
			}
			r := serveStream(t, env, connection.Split(framing.split, f), connection.StreamConfig{})
			peer := r.peer()
			s := f.stream()
			sent := uint64(0)
			send := func(text string) {
				peer.send(text)
				sent += uint64(len(text))
				for arrived := false; !arrived && !t.Failed(); { // each piece is a read of its own
					r.do(func() { arrived = s.Received() == sent })
				}
			}
			rounds := 1
			for cut := range len(input) {
				send(input[:cut])
				send(input[cut:])
				rounds++
			}
			for i := range len(input) {
				send(input[i : i+1])
			}
			peer.endWriting()
			peer.expectEOF()
			f.endsWith(nil)
			if want := slices.Repeat(texts, rounds); !slices.Equal(got, want) {
				t.Errorf("got %d frames %q, want %d", len(got), got, len(want))
			}
		})
	}
}

func testSplitLongFrames(t *testing.T, env Env) {
	const b = communicator.BufferSize
	sizes := []int{0, 1, b - 5, b - 4, b - 1, b, b + 1, 3*b + 7, 0, 5 * b, 2}
	for _, framing := range framings {
		f := frames{probe: newProbe(t)}
		var got []string
		f.frame = func(_ *connection.Stream, frame []byte) error {
			got = append(got, string(frame))
			return nil
		}
		r := serveStream(t, env, connection.Split(framing.split, f), connection.StreamConfig{})
		peer := r.peer()
		var want []string
		for i, size := range sizes {
			want = append(want, strings.Repeat(strconv.Itoa(i%10), size))
			peer.send(framing.make(want[i]))
		}
		peer.endWriting()
		peer.expectEOF()
		f.endsWith(nil)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %d frames that are not the %d sent", framing.name, len(got), len(want))
		}
	}
}

// testSplitMaxInput: a line as long as MaxInput is one; one that is longer is not, however it arrives.
func testSplitMaxInput(t *testing.T, env Env) {
	for _, limit := range []int{100, communicator.BufferSize, connection.DefaultMaxInput} {
		f := frames{probe: newProbe(t)}
		lengths := make(chan int, 10)
		f.frame = func(_ *connection.Stream, frame []byte) error {
			lengths <- len(frame)
			return nil
		}
		r := serveStream(t, env, connection.Split(bufio.ScanLines, f), connection.StreamConfig{MaxInput: limit})
		longest := strings.Repeat("x", limit)
		peer := r.peer()
		for range 2 {
			peer.send(line(longest))
			if n := looptest.Await(t, lengths, "the longest line"); n != limit {
				t.Errorf("limit %d: a line of %d bytes", limit, n)
			}
		}
		_, _ = peer.Write([]byte(line(longest + "x"))) // it may be cut off before all is written
		select {
		case n := <-lengths:
			t.Errorf("limit %d: a line of %d bytes was taken when it came in one piece", limit, n)
		case cause := <-f.endings:
			if cause != connection.ErrInputLimit { //nolint:errorlint // the sentinel itself
				t.Errorf("limit %d: ended with %v", limit, cause)
			}
		}
	}
}

func testSplitLastFrameAtEOF(t *testing.T, env Env) {
	f := frames{probe: newProbe(t)}
	var got []string
	f.frame = func(s *connection.Stream, frame []byte) error {
		got = append(got, string(frame))
		write(t, s, []byte(strings.ToUpper(string(frame))+"."))
		return nil
	}
	r := serveStream(t, env, connection.Split(bufio.ScanLines, f), connection.StreamConfig{})
	peer := r.peer()
	peer.send("whole\nunended")
	peer.endWriting()
	peer.expect("WHOLE.UNENDED.")
	peer.expectEOF()
	f.endsWith(nil)
	if want := []string{"whole", "unended"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func testSplitRestAtEOF(t *testing.T, env Env) {
	noPartial := func(data []byte, atEOF bool) (int, []byte, error) {
		if atEOF && !bytes.Contains(data, []byte("\n")) {
			return 0, nil, nil
		}
		return bufio.ScanLines(data, atEOF)
	}
	f := frames{newProbe(t), func(*connection.Stream, []byte) error { return nil }}
	r := serveStream(t, env, connection.Split(noPartial, f), connection.StreamConfig{})
	peer := r.peer()
	peer.send("whole\nunended")
	peer.endWriting()
	peer.expectEOF()
	f.endsWith(io.ErrUnexpectedEOF)

	g := eofFrames{frames{newProbe(t), f.frame}}
	rests := make(chan string, 1)
	g.eof = func(s *connection.Stream, rest []byte) error {
		rests <- string(rest)
		s.Close()
		return nil
	}
	r = serveStream(t, env, connection.Split(noPartial, g), connection.StreamConfig{})
	peer = r.peer()
	peer.send("whole\nunended")
	peer.endWriting()
	peer.expectEOF()
	g.endsWith(nil)
	if rest := looptest.Await(t, rests, "HandleEOF"); rest != "unended" {
		t.Errorf("rest %q", rest)
	}
}

// testSplitCloseInLastFrame: after Close nothing more is handed over, the peer's end included.
func testSplitCloseInLastFrame(t *testing.T, env Env) {
	for _, end := range []func(*connection.Stream){
		(*connection.Stream).Close, func(s *connection.Stream) { s.Abort(nil) },
	} {
		f := eofFrames{frames{probe: newProbe(t)}}
		f.frame = func(s *connection.Stream, _ []byte) error {
			end(s)
			f.mute(s, "the close in HandleFrame")
			return nil
		}
		r := serveStream(t, env, connection.Split(bufio.ScanLines, f), connection.StreamConfig{})
		peer := r.peer()
		peer.send("unended")
		peer.endWriting()
		peer.expectEnd()
		f.endsWith(nil)
	}
}

func testSplitFinalToken(t *testing.T, env Env) {
	untilDot := func(data []byte, atEOF bool) (int, []byte, error) {
		advance, token, err := bufio.ScanLines(data, atEOF)
		if string(token) == "." {
			return advance, token, bufio.ErrFinalToken
		}
		if string(token) == ".." {
			return advance, nil, bufio.ErrFinalToken
		}
		return advance, token, err
	}
	for last, want := range map[string][]string{".": {"one", "two", "."}, "..": {"one", "two"}} {
		f := frames{probe: newProbe(t)}
		var got []string
		f.frame = func(_ *connection.Stream, frame []byte) error {
			got = append(got, string(frame))
			return nil
		}
		r := serveStream(t, env, connection.Split(untilDot, f), connection.StreamConfig{})
		peer := r.peer()
		peer.send("one\ntwo\n" + last + "\nnever\nseen\n")
		peer.expectEOF()
		peer.close()
		f.endsWith(nil)
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func testSplitErrors(t *testing.T, env Env) {
	for name, c := range map[string]struct {
		split bufio.SplitFunc
		want  error
	}{
		"error":       {func([]byte, bool) (int, []byte, error) { return 0, nil, errTest }, errTest},
		"no progress": {func([]byte, bool) (int, []byte, error) { return 0, []byte{}, nil }, connection.ErrNoProgress},
		"too far":     {func(d []byte, _ bool) (int, []byte, error) { return len(d) + 1, nil, nil }, connection.ErrConsumed},
		"backwards":   {func([]byte, bool) (int, []byte, error) { return -1, nil, nil }, connection.ErrConsumed},
	} {
		f := frames{newProbe(t), func(*connection.Stream, []byte) error { return nil }}
		r := serveStream(t, env, connection.Split(c.split, f), connection.StreamConfig{})
		peer := r.peer()
		peer.send("text")
		peer.expectEnd()
		if cause := f.ending(); cause != c.want { //nolint:errorlint // the error itself
			t.Errorf("%s: ended with %v, want %v", name, cause, c.want)
		}
	}
}
