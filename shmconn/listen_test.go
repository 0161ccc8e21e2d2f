//go:build linux

package shmconn_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

var echoes = shmconn.Records(shmconn.RecordFunc(echo), shmconn.RecordConfig{})

// TestSocketFile: the mode, owner and group of the socket's file, which goes with the listener.
func TestSocketFile(t *testing.T) {
	config := shmconn.ListenConfig{Mode: 0o640}
	if os.Getuid() == 0 {
		config.Owner, config.Group = "1234", "4321"
		if u, err := user.Lookup("nobody"); err == nil {
			config.Owner = u.Username
		}
	}
	loop, _ := runs(t)
	path := ringPath(t)
	looptest.Do(t, loop, func() {
		l, err := shmconn.Listen(loop, path, echoes, config)
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		info, err := os.Stat(path)
		if err != nil {
			t.Error(err)
			return
		}
		if info.Mode() != fs.ModeSocket|0o640 {
			t.Errorf("the mode is %v", info.Mode())
		}
		stat := info.Sys().(*syscall.Stat_t)
		if u, err := user.Lookup(config.Owner); err == nil && strconv.Itoa(int(stat.Uid)) != u.Uid {
			t.Errorf("it belongs to user %d", stat.Uid)
		}
		if config.Group != "" && stat.Gid != 4321 {
			t.Errorf("it belongs to group %d", stat.Gid)
		}
	})
	looptest.Do(t, loop, func() {}) // it is closed at the end of the turn
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

// TestAbstractName: no file, and nothing that goes with one.
func TestAbstractName(t *testing.T) {
	loop, _ := runs(t)
	name := fmt.Sprintf("@eventdispatcher ring test %d", os.Getpid())
	h := &hooks{}
	looptest.Do(t, loop, func() {
		_, err := shmconn.Listen(loop, name, echoes, shmconn.ListenConfig{Mode: 0o600})
		if !errors.Is(err, unixsock.ErrAbstract) {
			t.Errorf("with a mode: %v", err)
		}
		l, err := shmconn.Listen(loop, name, echoes, shmconn.ListenConfig{})
		if err != nil {
			t.Error(err)
			return
		}
		if l.Addr().String() != name {
			t.Errorf("the address is %v", l.Addr())
		}
		_, err = shmconn.DialRecords(loop, shmconn.Dialer{Path: name}, h, shmconn.RecordConfig{})
		must(t, err)
		h.open = func(c *shmconn.RecordConn) error {
			if got := c.Transport().RemoteAddr(); got != shmconn.Addr(name) || got.Network() != "shm" {
				t.Errorf("the peer's address is %v", got)
			}
			return c.Send([]byte("x"))
		}
	})
	(&home{Communicator: loop, t: t}).until("the echo", func() bool { return len(h.got) == 1 })
}

// TestPathsInUse: what a listener replaces, and what it doesn't.
func TestPathsInUse(t *testing.T) {
	fdtest.Check(t)
	loop, _ := runs(t)
	listen := func(path string) (err error) {
		looptest.Do(t, loop, func() {
			var l *connection.Listener
			if l, err = shmconn.Listen(loop, path, echoes, shmconn.ListenConfig{}); err == nil {
				l.Close()
			}
		})
		return err
	}
	stale := nowhere(t).(shmconn.Dialer).Path
	if err := listen(stale); err != nil {
		t.Errorf("what a process has left behind: %v", err)
	}
	used := ringPath(t)
	fd := rawListen(t, used, 1)
	err := listen(used)
	var opError *net.OpError
	if !errors.Is(err, unix.EADDRINUSE) || !errors.As(err, &opError) || opError.Op != "listen" {
		t.Errorf("what somebody listens to: %v", err)
	}
	must(t, sys.Close(fd))
	file := ringPath(t)
	must(t, os.WriteFile(file, nil, 0o600))
	if err := listen(file); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a file: %v", err)
	}
	if err := listen(t.TempDir() + "/no/such/folder"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if err := listen("/" + strings.Repeat("x", 200)); err == nil {
		t.Error("listens to a path that is too long")
	}
	defer func() {
		if recover() == nil {
			t.Error("listens for nobody")
		}
	}()
	_, _ = shmconn.Listen(loop, ringPath(t), nil, shmconn.ListenConfig{})
}

// TestDialNowhere: the errors are those of a Unix socket.
func TestDialNowhere(t *testing.T) {
	loop, _ := runs(t)
	for path, want := range map[string]error{
		ringPath(t):                            fs.ErrNotExist,
		nowhere(t).(shmconn.Dialer).Path:       unix.ECONNREFUSED,
		"@eventdispatcher no such listener":    unix.ECONNREFUSED,
		"/" + strings.Repeat("x", 200):         sys.ErrPath,
		"/dev/null/a folder that is none/path": unix.ENOTDIR,
	} {
		err := looptest.Await(t, dials(t, loop, shmconn.Dialer{Path: path}), "the end of the dialling")
		var opError *net.OpError
		if !errors.Is(err, want) || !errors.As(err, &opError) || opError.Op != "dial" {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

// TestFilter: who may connect is decided before any memory is made.
func TestFilter(t *testing.T) {
	fdtest.Check(t)
	nothingMapped(t)
	loop, _ := runs(t)
	var seen []unixsock.Credentials
	welcome := false
	filter := &unixsock.Filter{Accept: func(c unixsock.Credentials) bool {
		seen = append(seen, c)
		return welcome
	}}
	path := listens(t, loop, shmconn.RecordFunc(echo), shmconn.ListenConfig{Filter: filter})
	fd := rawDial(t, path)
	_, err := sys.SendMsg(fd, proper(t, tiny).packet, nil, nil)
	if err != nil && !errors.Is(err, unix.EPIPE) {
		t.Error(err)
	}
	expectRefusal(t, fd, 0)
	if err := looptest.Await(t, dials(t, loop, shmconn.Dialer{Path: path}), "the end of the dialling"); err == nil {
		t.Error("a connection was made")
	}
	looptest.Do(t, loop, func() { welcome = true })
	expectService(t, path)
	looptest.Do(t, loop, func() {
		me := unixsock.Credentials{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}
		if filter.Refused() != 2 || len(seen) != 3 || seen[0] != me {
			t.Errorf("%d of %v were refused", filter.Refused(), seen)
		}
	})
}

// TestPeerCredentials: either side can ask who the other is.
func TestPeerCredentials(t *testing.T) {
	me := unixsock.Credentials{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}
	d := join(t, &hooks{}, &hooks{}, terms{})
	d.on(func() {
		for name, c := range map[string]*shmconn.RecordConn{"server": d.server, "client": d.client} {
			if got, err := unixsock.PeerCredentials(c.Transport()); got != me || err != nil {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		transport := d.client.Transport()
		d.client.Close()
		d.AfterTurn(func() {
			if _, err := unixsock.PeerCredentials(transport); !errors.Is(err, net.ErrClosed) {
				t.Errorf("when closed: %v", err)
			}
		})
	})
	d.settle()
}

// TestMaxConnections: one that shakes hands counts.
func TestMaxConnections(t *testing.T) {
	loop, _ := runs(t)
	h := &hooks{}
	path := ringPath(t)
	var l *connection.Listener
	looptest.Do(t, loop, func() {
		var err error
		l, err = shmconn.Listen(loop, path, shmconn.Records(h, shmconn.RecordConfig{}), shmconn.ListenConfig{
			Listener: connection.ListenConfig{MaxConnections: 1},
		})
		must(t, err)
	})
	at := &home{Communicator: loop, t: t}
	first := rawDial(t, path)
	at.until("the first", func() bool { return l.Open() == 1 })
	second := dials(t, loop, shmconn.Dialer{Path: path})
	at.until("a limit", func() bool { return l.Waits() == 1 })
	at.settle()
	looptest.Do(t, loop, func() {
		if l.Accepted() != 1 || h.opens != 0 {
			t.Errorf("%d connections were accepted and %d opened", l.Accepted(), h.opens)
		}
	})
	must(t, unix.Shutdown(first, unix.SHUT_RDWR))
	if err := looptest.Await(t, second, "the end of the dialling"); err != nil {
		t.Error(err)
	}
	at.until("the end of the second", func() bool { return l.Open() == 0 && h.opens == 1 })
}

// TestShutdownWhileGreeting: who hasn't said who he is keeps no loop.
func TestShutdownWhileGreeting(t *testing.T) {
	for name, stop := range map[string]func(*communicator.Communicator){
		"shut down": func(loop *communicator.Communicator) { loop.Shutdown(time.Hour) },
		"stopped":   func(loop *communicator.Communicator) { loop.Stop(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			fdtest.Check(t)
			nothingMapped(t)
			loop, log := looptest.New(t)
			path := ringPath(t)
			var l *connection.Listener
			l, err := shmconn.Listen(loop, path, echoes, shmconn.ListenConfig{Timeout: time.Hour, Listener: connection.ListenConfig{Name: "here"}})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- loop.Run(context.Background()) }()
			at := &home{Communicator: loop, t: t}
			fd := rawDial(t, path)
			at.until("the connection", func() bool { return l.Open() == 1 })
			looptest.Do(t, loop, func() { stop(loop) })
			if err := looptest.Await(t, done, "the end of the loop"); err != nil {
				t.Errorf("Run: %v", err)
			}
			expectRefusal(t, fd, 0)
			if found := log.Containing("served"); len(found) > 0 {
				t.Errorf("logged: %q", found)
			}
		})
	}
}

// TestCancelWhileGreeting: a dial that is given up while the other side thinks leaves nothing, and says nothing.
func TestCancelWhileGreeting(t *testing.T) {
	fdtest.Check(t)
	nothingMapped(t)
	loop, logged := runs(t)
	path := ringPath(t)
	listener := rawListen(t, path, 1)
	t.Cleanup(func() { _ = sys.Close(listener) })
	var cancel func()
	looptest.Do(t, loop, func() {
		var err error
		cancel, err = shmconn.Dialer{Path: path, Timeout: time.Hour}.Dial(loop, func(transport connection.Transport, err error) {
			t.Errorf("done: %v, %v", transport, err)
		})
		must(t, err)
	})
	fd := rawAccept(t, listener)
	hears(t, fd)
	looptest.Do(t, loop, func() { cancel() })
	expectRefusal(t, fd, 0)
	(&home{Communicator: loop, t: t}).settle()
	looptest.Do(t, loop, func() {
		if n := loop.Stats().Live; n != 0 {
			t.Errorf("%d sources are left", n)
		}
	})
	if len(logged) > 0 {
		t.Errorf("logged: %v", <-logged)
	}
}

// TestCloseWhileGreeting is the same for a RecordConn.
func TestCloseWhileGreeting(t *testing.T) {
	fdtest.Check(t)
	nothingMapped(t)
	loop, _ := runs(t)
	path := ringPath(t)
	listener := rawListen(t, path, 1)
	t.Cleanup(func() { _ = sys.Close(listener) })
	h := &hooks{}
	var c *shmconn.RecordConn
	looptest.Do(t, loop, func() {
		var err error
		c, err = shmconn.DialRecords(loop, shmconn.Dialer{Path: path, Timeout: time.Hour}, h, shmconn.RecordConfig{})
		must(t, err)
	})
	fd := rawAccept(t, listener)
	hears(t, fd)
	looptest.Do(t, loop, func() { c.Close() })
	expectRefusal(t, fd, 0)
	(&home{Communicator: loop, t: t}).settle()
	looptest.Do(t, loop, func() {
		if n := loop.Stats().Live; n != 0 || h.ended != 1 || h.cause != nil || h.opens != 0 {
			t.Errorf("%d sources are left, it ended %d times with %v", n, h.ended, h.cause)
		}
	})
}
