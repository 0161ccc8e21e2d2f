//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/communicator/inspect"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
	"github.com/eventdispatcher-go/eventdispatcher/connection/notify"
	"github.com/eventdispatcher-go/eventdispatcher/connection/pressure"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// files makes files in a folder below one that is watched, each when the one before was reported.
func (t *tour) files(message.Handler) error {
	r := t.row("file that was written, in a new folder", 50)
	root := t.path("watched")
	if err := os.Mkdir(root, 0o700); err != nil {
		return err
	}
	var made time.Time
	write := func() error {
		made = time.Now()
		return os.WriteFile(fmt.Sprintf("%s/below/%d.conf", root, len(r.latencies)), []byte("a = b\n"), 0o600)
	}
	var w *filewatch.Watcher
	w, err := filewatch.New(t.loop, func(e filewatch.Event) error {
		t.saw(r, time.Since(made))
		if r.done() {
			w.Close()
			return nil
		}
		return write()
	}, filewatch.Config{})
	if err != nil {
		return err
	}
	err = w.Add(root, filewatch.Watch{Ops: filewatch.Finished, Recursive: true, Patterns: []string{"*.conf"}})
	if err != nil {
		return err
	}
	if err := os.Mkdir(root+"/below", 0o700); err != nil {
		return err
	}
	return write() // into a folder that nobody watches yet
}

// descriptor listens to a descriptor of any kind, here that of a pipe, in three lines.
func (t *tour) descriptor(message.Handler) error {
	r := t.row("any descriptor", 50)
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	var sent time.Time
	send := func() error {
		sent = time.Now()
		_, err := out.Write([]byte("x"))
		return err
	}
	fd, err := descriptorOf(in)
	if err != nil {
		return err
	}
	_, err = t.loop.Add(communicator.ReadFunc(fd, func(h *communicator.Handle) error {
		if _, err := in.Read(make([]byte, 1)); err != nil {
			return err
		}
		t.saw(r, time.Since(sent))
		if r.done() {
			h.Remove(nil)
			t.loop.AfterTurn(func() { _, _ = in.Close(), out.Close() }) // not while it is in the loop
			return nil
		}
		return send()
	}), communicator.Options{Name: "pipe"})
	if err != nil {
		return err
	}
	return send()
}

// descriptorOf is the number of a file's descriptor; File.Fd would make it a blocking one.
func descriptorOf(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(number uintptr) { fd = int(number) })
	return fd, err
}

// functions run right after a callback, at the end of a turn, and at the end of the loop.
func (t *tour) functions(message.Handler) error {
	deferred, after := t.row("function right after a callback", 10), t.row("function after a turn", 10)
	_, err := timer.Every(t.loop, time.Millisecond, func(tm *timer.Timer, _ int) error {
		begin := time.Now()
		t.loop.Defer(func() { t.saw(deferred, time.Since(begin)) })
		t.loop.AfterTurn(func() { t.saw(after, time.Since(begin)) })
		if len(deferred.latencies) == deferred.want-1 {
			tm.Stop()
		}
		return nil
	}, communicator.Options{})
	t.loop.AtExit(func(error) { t.atExit = true })
	return err
}

// limited is a source that always has something to tell, and may tell ten times in 20 ms.
func (t *tour) limited(message.Handler) error {
	r := t.row("event under a rate of 10 in 20 ms, since the one before", 40)
	last := time.Now()
	_, err := timer.Every(t.loop, time.Microsecond, func(tm *timer.Timer, _ int) error {
		t.saw(r, time.Since(last))
		last = time.Now()
		if r.done() {
			tm.Stop()
		}
		return nil
	}, communicator.Options{Name: "limited", Rate: communicator.Rate{Events: 10, Interval: 20 * time.Millisecond}})
	return err
}

// memory asks the kernel to tell when memory becomes short, which it hopefully doesn't here.
func (t *tour) memory(message.Handler) error {
	_, err := pressure.Watch(t.loop, pressure.Memory, func() error {
		t.note("memory is short")
		return nil
	}, pressure.Config{Options: communicator.Options{Background: true}})
	switch {
	case errors.Is(err, pressure.ErrUnsupported), errors.Is(err, os.ErrPermission):
		t.note("memory pressure: %v", err)
		return nil
	case err != nil:
		return err
	}
	stat, err := pressure.Read(pressure.Memory)
	if err != nil {
		return err
	}
	t.saw(t.row("memory pressure is watched", 1), 0)
	t.note("memory: %.2f %% of the last 10 s were lost to stalls", stat.Some.Avg10)
	return nil
}

// manager plays systemd: it takes what the service says of itself.
func (t *tour) manager(message.Handler) error {
	ready, alive := t.row("READY=1 to the service manager", 1), t.row("WATCHDOG=1 to the service manager", 5)
	path := t.path("notify")
	take := connection.DatagramFunc(func(_ *connection.Datagram, data []byte, _ connection.Peer) error {
		for line := range strings.Lines(string(data)) {
			switch strings.TrimSpace(line) {
			case "READY=1":
				t.saw(ready, 0)
			case "WATCHDOG=1":
				if !alive.done() { // it goes on until the loop ends
					t.saw(alive, 0)
				}
			}
		}
		return nil
	})
	if _, err := unixsock.ListenDatagram(t.loop, path, take, unixsock.DatagramListenConfig{}); err != nil {
		return err
	}
	for name, value := range map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	n, err := notify.FromEnvironment()
	if err != nil {
		return err
	}
	// A service calls n.Attach(loop) instead, which says STOPPING=1 as well; here the manager ends with the loop.
	if err := n.Ready(); err != nil {
		return err
	}
	return n.Watchdog(t.loop, communicator.Options{})
}

// status asks the loop what it is doing.
func (t *tour) status(message.Handler) error {
	r := t.row("listing of the loop", 1)
	_, err := timer.After(t.loop, 10*time.Millisecond, func(*timer.Timer) error {
		if text := inspect.Text(t.loop); strings.Contains(text, "listing, asked for by a timer") {
			t.saw(r, 0)
		}
		return nil
	}, communicator.Options{Name: "listing, asked for by a timer"})
	return err
}
