//go:build linux

package communicator_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

// patience is how long a test waits for what has to happen. It only matters when the loop is broken.
const patience = 30 * time.Second

var (
	errPatience = errors.New("the test's patience is over")
	errTest     = errors.New("an error of the test")
)

// newLoop makes a loop that is given back at the end of the test.
func newLoop(t testing.TB, config communicator.Config) *communicator.Communicator {
	t.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	loop, err := communicator.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loop.Close(); err != nil {
			t.Error(err)
		}
	})
	return loop
}

// runError runs the loop on this goroutine and returns its error.
func runError(t testing.TB, loop *communicator.Communicator) error {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errPatience)
	defer cancel()
	err := loop.Run(ctx)
	if errors.Is(err, errPatience) {
		t.Fatal(err)
	}
	return err
}

// run runs the loop on this goroutine; it has to end without an error.
func run(t testing.TB, loop *communicator.Communicator) {
	t.Helper()
	if err := runError(t, loop); err != nil {
		t.Fatalf("Run: %v", err)
	}
}

// start runs the loop on a goroutine of its own. The function it returns waits for its end; before
// the test ends the loop is stopped and waited for.
func start(t testing.TB, loop *communicator.Communicator) (wait func() error) {
	t.Helper()
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = loop.Run(context.Background())
	}()
	t.Cleanup(func() {
		loop.Stop(nil)
		<-done
	})
	return func() error {
		t.Helper()
		await(t, done, "the end of Run")
		return err
	}
}

// await waits for a channel.
func await[T any](t testing.TB, c <-chan T, what string) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
	return value
}

// do runs f on the loop, which runs on another goroutine.
func do(t testing.TB, loop *communicator.Communicator, f func()) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errPatience)
	defer cancel()
	if err := loop.Do(ctx, func() error { f(); return nil }); err != nil {
		t.Fatalf("Do: %v", err)
	}
}

// post hands f to the loop.
func post(t testing.TB, loop *communicator.Communicator, f func()) {
	t.Helper()
	if err := loop.Post(f); err != nil {
		t.Errorf("Post: %v", err)
	}
}

// spin keeps the processor busy for about d.
func spin(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
	}
}

// pass lets time pass: a loop of its own waits for it.
func pass(t testing.TB, d time.Duration) {
	t.Helper()
	loop := newLoop(t, communicator.Config{})
	p := &probe{t: t, timeout: remove}
	add(t, loop, p, communicator.Options{Deadline: time.Now().Add(d)})
	run(t, loop)
}

// file is a descriptor that is closed once: by its source, or at the end of the test.
type file struct{ fd int }

func newFile(t testing.TB, fd int) *file {
	f := &file{fd}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func (f *file) Close() error {
	if f.fd < 0 {
		return nil
	}
	fd := f.fd
	f.fd = communicator.NoFD
	return unix.Close(fd)
}

// signal makes an eventfd readable; drain makes it unreadable and tells whether it was readable.
func (f *file) signal(t testing.TB) {
	t.Helper()
	if _, err := unix.Write(f.fd, binary.NativeEndian.AppendUint64(nil, 1)); err != nil {
		t.Errorf("signal: %v", err)
	}
}

func (f *file) drain(t testing.TB) bool {
	t.Helper()
	var count [8]byte
	_, err := unix.Read(f.fd, count[:])
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Errorf("drain: %v", err)
	}
	return err == nil
}

// eventfd makes a descriptor that can be read when something has been signalled, and always written.
func eventfd(t testing.TB) *file {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	return newFile(t, fd)
}

// signalled makes an eventfd that is readable.
func signalled(t testing.TB) *file {
	t.Helper()
	f := eventfd(t)
	f.signal(t)
	return f
}

// socketpair makes two connected stream sockets.
func socketpair(t testing.TB) (a, b *file) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return newFile(t, fds[0]), newFile(t, fds[1])
}

// probe is a source that can handle everything, by functions of the test. One that is not there must
// not be called. It complains about what no loop may do.
type probe struct {
	t    testing.TB
	name string
	file *file // nil: none

	read, write, timeout func(*communicator.Handle) error
	closed               func(h *communicator.Handle, cause error)

	reads, writes, timeouts, closes int
	cause                           error

	inside, shut bool
}

var (
	_ communicator.ReadHandler    = (*probe)(nil)
	_ communicator.WriteHandler   = (*probe)(nil)
	_ communicator.TimeoutHandler = (*probe)(nil)
	_ communicator.CloseHandler   = (*probe)(nil)
	_ io.Closer                   = (*probe)(nil)
)

func (p *probe) FD() int {
	if p.file == nil {
		return communicator.NoFD
	}
	return p.file.fd
}

func (p *probe) HandleRead(h *communicator.Handle) error {
	p.reads++
	return p.call(h, "HandleRead", p.read)
}

func (p *probe) HandleWrite(h *communicator.Handle) error {
	p.writes++
	return p.call(h, "HandleWrite", p.write)
}

func (p *probe) HandleTimeout(h *communicator.Handle) error {
	p.timeouts++
	return p.call(h, "HandleTimeout", p.timeout)
}

func (p *probe) call(h *communicator.Handle, name string, f func(*communicator.Handle) error) error {
	switch {
	case f == nil:
		p.t.Errorf("%s: unexpected %s", p.name, name)
		return errTest
	case p.shut:
		p.t.Errorf("%s: %s after the end", p.name, name)
	case p.inside:
		p.t.Errorf("%s: %s within another callback", p.name, name)
	case !h.Enabled():
		p.t.Errorf("%s: %s while disabled or gone", p.name, name)
	}
	p.inside = true
	defer func() { p.inside = false }()
	return f(h)
}

func (p *probe) Close() error {
	if p.shut {
		p.t.Errorf("%s: closed twice", p.name)
	}
	p.shut = true
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

func (p *probe) HandleClose(h *communicator.Handle, cause error) {
	p.closes++
	p.cause = cause
	switch {
	case p.closes > 1:
		p.t.Errorf("%s: HandleClose %d times", p.name, p.closes)
	case p.inside:
		p.t.Errorf("%s: HandleClose within another callback", p.name)
	case !p.shut:
		p.t.Errorf("%s: HandleClose before Close", p.name)
	case h.Active():
		p.t.Errorf("%s: HandleClose of an active handle", p.name)
	}
	if p.closed != nil {
		p.inside = true
		p.closed(h, cause)
		p.inside = false
	}
}

// remove is a handler that removes its source.
func remove(h *communicator.Handle) error {
	h.Remove(nil)
	return nil
}

// ignore is a handler that does nothing.
func ignore(*communicator.Handle) error { return nil }

// add adds a source.
func add(t testing.TB, loop *communicator.Communicator, s communicator.Source, o communicator.Options) *communicator.Handle {
	t.Helper()
	h, err := loop.Add(s, o)
	if err != nil {
		t.Fatalf("Add: %v", err)
	}
	return h
}

// journal records what happened in which order.
type journal []string

func (j *journal) note(what string) { *j = append(*j, what) }

// noter returns a handler that notes a name and then does the rest.
func (j *journal) noter(what string, then func(*communicator.Handle) error) func(*communicator.Handle) error {
	return func(h *communicator.Handle) error {
		j.note(what)
		return then(h)
	}
}

func (j *journal) expect(t testing.TB, want ...string) {
	t.Helper()
	if !slices.Equal(*j, want) {
		t.Errorf("happened:\n%q\nwant:\n%q", []string(*j), want)
	}
}
