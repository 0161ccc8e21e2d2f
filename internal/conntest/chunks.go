//go:build linux

package conntest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

var chunkCases = []testCase{
	{"ByteByByte", testByteByByte},
	{"InterleavedWrites", testInterleavedWrites},
	{"Random", testRandomChunks},
	{"HostileFrames", testHostileFrames},
}

// testByteByByte: a peer that sends one byte at a time, and reads so.
func testByteByByte(t *testing.T, env Env) {
	p := newProbe(t)
	f := frames{p, func(s *connection.Stream, frame []byte) error {
		_, err := s.Write(append(frame, '\n'))
		return err
	}}
	r := serveStream(t, env, connection.Split(bufio.ScanLines, f), connection.StreamConfig{})
	peer := r.peer()
	text := strings.Repeat("a line of text\n\n", 60)
	wait := beside(t, func() error {
		for i := range len(text) {
			if _, err := peer.Write([]byte(text[i : i+1])); err != nil {
				return err
			}
		}
		return nil
	})
	var got []byte
	for b := [1]byte{}; len(got) < len(text); got = append(got, b[0]) {
		if _, err := io.ReadFull(peer, b[:]); err != nil {
			t.Fatal(err)
		}
	}
	wait()
	if string(got) != text {
		t.Error("the echo differs from what was sent")
	}
	peer.endWriting()
	peer.expectEOF()
	p.endsWith(nil)
}

// testInterleavedWrites writes pieces of many sizes to several streams in turn, each more than the kernel takes at
// once, while the peers read pieces of other sizes.
func testInterleavedWrites(t *testing.T, env Env) {
	const n, size = 4, 1 << 20
	p := newProbe(t)
	r := serveSmall(t, env, p, connection.StreamConfig{})
	random := rand.New(rand.NewPCG(1, 2))
	peers := make([]*peer, n)
	streams := make([]*connection.Stream, n)
	texts := make([][]byte, n)
	for i := range n {
		peers[i] = r.peer()
		streams[i] = p.stream()
		texts[i] = noise(size, uint32(i))
	}
	sums := make(chan [2]uint32, n)
	for i, peer := range peers {
		chunk := make([]byte, 1+random.IntN(20_000))
		want := sum(texts[i])
		go func() {
			h := crc32.NewIEEE()
			_, _ = io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{io.LimitReader(peer, size)}, chunk)
			sums <- [2]uint32{h.Sum32(), want}
		}()
	}
	rest := texts
	for left := n; left > 0; {
		r.do(func() {
			for range 20 {
				i := random.IntN(n)
				piece := rest[i][:min(len(rest[i]), random.IntN(30_000))]
				write(t, streams[i], piece)
				if rest[i] = rest[i][len(piece):]; len(rest[i]) == 0 && len(piece) > 0 {
					left--
				}
			}
		})
	}
	for range n {
		if got := looptest.Await(t, sums, "the end of a text"); got[0] != got[1] {
			t.Error("what the peer got differs from what was written")
		}
	}
}

// testRandomChunks is a fuzz test of fixed seeds: lines of random lengths, in random pieces, with a handler that
// pauses now and then.
func testRandomChunks(t *testing.T, env Env) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 3))
		var text bytes.Buffer
		for text.Len() < 150_000 {
			text.WriteString(strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(1<<random.IntN(14))))
			text.WriteByte('\n')
		}
		var got bytes.Buffer
		p := newProbe(t)
		f := frames{p, func(s *connection.Stream, frame []byte) error {
			got.Write(frame)
			got.WriteByte('\n')
			if got.Len()%7 == 0 {
				s.Pause()
				if err := s.Loop().Post(s.Resume); err != nil {
					t.Error(err)
				}
			}
			return nil
		}}
		r := serveStream(t, env, connection.Split(bufio.ScanLines, f), connection.StreamConfig{})
		peer := r.peer()
		for rest := text.Bytes(); len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(1<<random.IntN(15)))
			peer.send(string(rest[:n]))
			rest = rest[n:]
			if random.IntN(8) == 0 {
				r.do(func() {})
			}
		}
		peer.endWriting()
		peer.expectEOF()
		p.endsWith(nil)
		if !bytes.Equal(got.Bytes(), text.Bytes()) {
			t.Errorf("seed %d: %d bytes of lines were handed over that are not the %d sent", seed, got.Len(), text.Len())
		}
	}
}

// testHostileFrames: frames that lie about their length cost no memory, and only their own connection.
func testHostileFrames(t *testing.T, env Env) {
	const limit = 1000
	p := newProbe(t)
	f := frames{p, func(s *connection.Stream, frame []byte) error {
		_, err := s.Write(frame)
		return err
	}}
	r := serveStream(t, env, connection.Split(splitPrefixed, f), connection.StreamConfig{MaxInput: limit})
	honest := r.peer()
	p.stream()
	for _, length := range []uint32{limit + 1, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		peer := r.peer()
		s := p.stream()
		before := heap()
		_, _ = peer.Write(append(binary.BigEndian.AppendUint32(nil, length), noise(2*limit, length)...)) // it may be cut off
		p.endsWith(connection.ErrInputLimit)
		peer.expectEnd()
		if grown := heap() - before; grown > 1<<20 {
			t.Errorf("a length of %d took %d bytes of memory", length, grown)
		}
		honest.send(prefixed("echo"))
		honest.expect("echo")
		r.do(func() {
			if s.Handle().Active() {
				t.Error("the stream is in the loop after its end")
			}
		})
	}
	// Less than it says, and then the end.
	peer := r.peer()
	p.stream()
	peer.send("\x00\x00\x01\x00less")
	peer.endWriting()
	peer.expectEnd()
	p.endsWith(io.ErrUnexpectedEOF)
}
