//go:build linux

package shmconn_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/ring"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
)

const (
	// hostileVariable says in the environment what the hostile process does; see TestHostileProcess.
	hostileVariable = "SHMCONN_TEST_HOSTILE"
	// hostileTime is for how long TestHostile goes on, as in 30s.
	hostileTime = "EDTEST_HOSTILE"

	hostileCapacity = 16 << 10
	hostileRecord   = 64 << 10
)

// How connections with a hostile peer may end: with an error that says what was wrong. errOrderly stands for none,
// errRefused for a RefusedError.
var (
	errOrderly  = errors.New("no error")
	errRefused  = errors.New("a refusal")
	hostileEnds = []error{
		shmconn.ErrCorrupt, shmconn.ErrTooLong, shmconn.ErrMemory, shmconn.ErrForeign, shmconn.ErrMismatch, shmconn.ErrUnread, shmconn.ErrPeerDied,
		syscall.EPIPE, errRefused, errOrderly,
	}
)

// hostileEnd is which of hostileEnds a cause is; nil if it is none of them.
func hostileEnd(cause error) error {
	var refused *shmconn.RefusedError
	switch {
	case cause == nil:
		return errOrderly
	case errors.As(cause, &refused):
		return errRefused
	}
	i := slices.IndexFunc(hostileEnds, func(end error) bool { return errors.Is(cause, end) })
	if i < 0 {
		return nil
	}
	return hostileEnds[i]
}

// besieged is a service whose peers are hostile, and what is watched of it.
type besieged struct {
	t      *testing.T
	loop   *communicator.Communicator
	path   string
	stuck  bool // every other handler of records waits for room
	ends   []error
	closed int
	idle   chan struct{} // closed when all connections are, once leaving
	leaves bool

	callback time.Duration // the longest
	glanced  time.Time
	last     time.Time
	longest  time.Duration // between two calls of a timer
	mapped   int           // the most bytes there were for one connection
	heap     uint64

	heapBefore   uint64
	mappedBefore int
}

// withstand listens for streams, and beside them for records.
func withstand(t *testing.T, stuck bool) *besieged {
	t.Helper()
	fdtest.Check(t)
	b := &besieged{t: t, stuck: stuck, path: filepath.Join(t.TempDir(), "ring"), idle: make(chan struct{})}
	b.loop, _ = looptest.New(t)
	runtime.GC() // what the tests before have left
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	b.heapBefore, b.mappedBefore = stats.HeapAlloc, mappedMemory(t)
	config := shmconn.ListenConfig{
		Ring: shmconn.Config{Capacity: hostileCapacity, MaxCapacity: hostileCapacity, MaxRecord: hostileRecord},
	}
	for _, face := range hostileFaces {
		serve := b.serveRecords
		if face == "stream" {
			serve = b.serveStream
		}
		if _, err := shmconn.Listen(b.loop, b.path+face, serve, config); err != nil {
			t.Fatal(err)
		}
	}
	for period, f := range map[time.Duration]func(*timer.Timer, int) error{time.Millisecond: b.tick, 5 * time.Millisecond: b.measure} {
		if _, err := timer.Every(b.loop, period, f, communicator.Options{Background: true}); err != nil {
			t.Fatal(err)
		}
	}
	b.loop.SetObserver(b)
	runLoopBeside(t, b.loop)
	return b
}

// BeginCallback is of communicator.Observer.
func (b *besieged) BeginCallback(*communicator.Handle, communicator.Call) {}

// EndCallback is of communicator.Observer.
func (b *besieged) EndCallback(_ *communicator.Handle, call communicator.Call, took time.Duration) {
	if call == communicator.CallRead {
		b.callback = max(b.callback, took)
	}
}

var hostileFaces = []string{"records", "stream"}

// tick sees how evenly the loop turns.
func (b *besieged) tick(*timer.Timer, int) error {
	now := time.Now()
	if !b.last.IsZero() {
		b.longest = max(b.longest, now.Sub(b.last))
	}
	b.last = now
	return nil
}

// glance measures in the middle of a callback, now and then.
func (b *besieged) glance() {
	if now := time.Now(); now.Sub(b.glanced) > 5*time.Millisecond {
		b.glanced = now
		_ = b.measure(nil, 0)
	}
}

// measure sees how much memory there is.
func (b *besieged) measure(*timer.Timer, int) error {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	b.heap = max(b.heap, stats.HeapAlloc)
	if open := len(b.ends) - b.closed; open > 0 {
		b.mapped = max(b.mapped, (mappedMemory(b.t)-b.mappedBefore)/open)
	}
	return nil
}

// mappedMemory is how many bytes of rings and their records are mapped.
func mappedMemory(tb testing.TB) (size int) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		tb.Error(err)
	}
	for line := range bytes.Lines(maps) {
		if !bytes.Contains(line, []byte("/memfd:")) {
			continue
		}
		ends, _, _ := strings.Cut(string(line), " ")
		from, to, _ := strings.Cut(ends, "-")
		first, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err := errors.Join(err1, err2); err != nil {
			tb.Error(err)
		}
		size += int(end - first)
	}
	return size
}

// opened gives a connection its number.
func (b *besieged) opened() (number int) {
	b.ends = append(b.ends, nil)
	return len(b.ends) - 1
}

func (b *besieged) ended(number int, cause error) {
	if b.ends[number] != nil {
		b.t.Errorf("connection %d has ended twice: %v, %v", number, b.ends[number], cause)
	}
	if b.ends[number] = hostileEnd(cause); b.ends[number] == nil {
		b.t.Errorf("connection %d has ended with %v", number, cause)
	}
	b.closed++
	b.look()
}

func (b *besieged) look() {
	if b.leaves && b.closed == len(b.ends) {
		close(b.idle)
	}
}

// over waits for the end of all connections, and looks at what there was.
func (b *besieged) over(p *otherProcess) {
	b.t.Helper()
	if err := p.wait(); err != nil {
		b.t.Errorf("the hostile process: %v\n%s", err, &p.stderr)
	}
	looptest.Do(b.t, b.loop, func() {
		b.leaves = true
		b.look()
	})
	looptest.Await(b.t, b.idle, "the end of all connections")
	looptest.Do(b.t, b.loop, b.judge)
}

func (b *besieged) judge() {
	table := map[error]int{}
	for _, end := range b.ends {
		table[end]++
	}
	for _, end := range hostileEnds {
		b.t.Logf("%5d × %v", table[end], end)
	}
	b.t.Logf("the loop stood for %v at most, for %v in a callback; %d bytes were mapped for a connection; the heap had %d",
		b.longest, b.callback, b.mapped, b.heap)
	if b.longest >= time.Second {
		b.t.Errorf("the loop stood for %v", b.longest)
	}
	if limit := b.heapBefore + 32<<20; b.heap > limit {
		b.t.Errorf("the heap had %d bytes, more than %d", b.heap, limit)
	}
	if limit := hostileMapped; b.mapped > limit {
		b.t.Errorf("%d bytes were mapped for a connection, more than %d", b.mapped, limit)
	}
	if left := mappedMemory(b.t) - b.mappedBefore; left > os.Getpagesize() { // the tally
		b.t.Errorf("%d bytes are still mapped", left)
	}
}

// hostileMapped is how much memory a connection may have mapped, by the package's documentation, and the tally.
const hostileMapped = 2*(ring.HeaderSize+hostileCapacity) + 2*(shmconn.MaxLarge+1)*hostileRecord + 4096

// hostileRecords answers every record with a copy.
type hostileRecords struct {
	*besieged
	number  int
	stuck   bool // waits for room
	copy    []byte
	records int
}

func (b *besieged) serveRecords(loop connection.Loop, t connection.Transport) error {
	number := b.opened()
	_, err := shmconn.NewRecordConn(loop, t, &hostileRecords{besieged: b, number: number, stuck: b.stuck && number%2 == 1}, shmconn.RecordConfig{})
	return err
}

func (h *hostileRecords) HandleRecords(c *shmconn.RecordConn) error {
	return shmconn.RecordFunc(func(c *shmconn.RecordConn, record []byte) error {
		h.copy = append(h.copy[:0], record...)
		if h.records++; h.records%32 == 0 {
			h.glance()
		}
		err := c.Send(h.copy)
		if errors.Is(err, shmconn.ErrFull) && !h.stuck || errors.Is(err, syscall.EPIPE) {
			return nil
		}
		return err
	}).HandleRecords(c)
}

func (h *hostileRecords) HandleClose(_ *shmconn.RecordConn, cause error) { h.ended(h.number, cause) }

// hostileStream echoes.
type hostileStream struct {
	*besieged
	number int
}

func (b *besieged) serveStream(loop connection.Loop, t connection.Transport) error {
	_, err := connection.NewStream(loop, t, &hostileStream{b, b.opened()}, connection.StreamConfig{})
	return err
}

func (h *hostileStream) HandleData(s *connection.Stream, data []byte) (int, error) {
	return s.Write(data)
}

func (h *hostileStream) HandleClose(_ *connection.Stream, cause error) { h.ended(h.number, cause) }

// startHostile starts the process that does it.
func (b *besieged) startHostile(what string) *otherProcess {
	b.t.Helper()
	p := startOther(b.t, "TestHostileProcess", hostileVariable+"="+what+killBetween+b.path, newTally(b.t))
	p.letGo()
	return p
}

// TestHostile: whatever a peer does, at random and for a while, its connections end with an error that says so, and
// nothing else happens.
func TestHostile(t *testing.T) {
	length := time.Second
	if text := os.Getenv(hostileTime); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	b := withstand(t, true)
	b.over(b.startHostile(length.String()))
}

// TestHostileAttacks makes each attack once and looks how that ends.
func TestHostileAttacks(t *testing.T) {
	for _, face := range hostileFaces {
		t.Run(face, func(t *testing.T) {
			b := withstand(t, false)
			b.over(b.startHostile(face))
			attacks := attacksOn(face)
			if len(b.ends) != len(attacks) {
				t.Fatalf("%d connections instead of %d", len(b.ends), len(attacks))
			}
			for i, a := range attacks {
				end := b.ends[i]
				if len(a.ends) > 0 && !slices.Contains(a.ends, end) {
					t.Errorf("%s: the end was: %v", a.name, end)
				}
			}
		})
	}
}

// TestHostileEmptyRecords: a read of a stream comes to its end, though the ring is full of records without a byte.
func TestHostileEmptyRecords(t *testing.T) {
	fdtest.Check(t)
	const capacity = 1 << 20
	loop, _ := looptest.New(t)
	path := filepath.Join(t.TempDir(), "ring")
	transports := make(chan *shmconn.Transport, 1)
	serve := func(_ connection.Loop, t connection.Transport) error {
		transports <- t.(*shmconn.Transport)
		return nil
	}
	if _, err := shmconn.Listen(loop, path, serve, shmconn.ListenConfig{}); err != nil {
		t.Fatal(err)
	}
	runLoopBeside(t, loop)
	in, err := intrude(t, path, capacity, ring.KindPiece, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	in.at = capacity
	in.publish()
	transport := looptest.Await(t, transports, "the connection")
	looptest.Do(t, loop, func() {
		defer func() { must(t, transport.Close()) }()
		b := make([]byte, communicator.BufferSize)
		for read, all := 0, uint64(0); all < capacity/8; read++ {
			n, err := transport.Read(b)
			before := all
			all = transport.Stats().RecordsReceived
			if n != 0 || !errors.Is(err, connection.ErrWouldBlock) || all == before || all-before > uint64(len(b)/8) {
				t.Errorf("read %d: %d, %v, and %d records", read, n, err, all-before)
				return
			}
		}
	})
}

// TestHostileProcess is the hostile process.
func TestHostileProcess(t *testing.T) {
	what, path, is := strings.Cut(os.Getenv(hostileVariable), killBetween)
	if !is {
		return // it runs as an ordinary test
	}
	if !otherLetGo() {
		return
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	run := func(face string, a attack, limit time.Duration) {
		kind := uint32(ring.KindData)
		if face == "stream" {
			kind = ring.KindPiece
		}
		in, err := intrude(t, path+face, hostileCapacity, kind, random)
		if err != nil {
			t.Fatal(err)
		}
		defer in.close()
		in.end = time.Now().Add(limit)
		a.run(in)
	}
	if length, err := time.ParseDuration(what); err == nil {
		for end := time.Now().Add(length); time.Now().Before(end); {
			face := hostileFaces[random.IntN(len(hostileFaces))]
			attacks := attacksOn(face)
			run(face, attacks[random.IntN(len(attacks))], time.Duration(random.IntN(int(20*time.Millisecond))))
		}
		return
	}
	for _, a := range attacksOn(what) {
		limit := 30 * time.Millisecond
		if len(a.ends) > 0 && !slices.Contains(a.ends, shmconn.ErrPeerDied) {
			limit = looptest.Patience // the other side has to end it
		}
		run(what, a, limit)
	}
}
