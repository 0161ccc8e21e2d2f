//go:build linux

package logrotate_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/logrotate"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// TestSocketFile: it has the mode and the group that were asked for.
func TestSocketFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		config logrotate.Config
		want   os.FileMode
	}{
		{logrotate.Config{}, 0o600},
		{logrotate.Config{Mode: 0o660}, 0o660},
		{logrotate.Config{Mode: 0o620, Owner: strconv.Itoa(os.Getuid()), Group: strconv.Itoa(os.Getgid())}, 0o620},
	} {
		loop, _ := looptest.New(t)
		d, err := logrotate.Listen(loop, "./s", func() error { return nil }, tt.config)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat("s")
		if err != nil {
			t.Fatal(err)
		}
		if stat := info.Sys().(*syscall.Stat_t); info.Mode() != os.ModeSocket|tt.want || int(stat.Gid) != os.Getgid() {
			t.Errorf("%+v: the file has %v and group %d", tt.config, info.Mode(), stat.Gid)
		}
		d.Close()
		looptest.Run(t, loop)
	}
}

func TestListenFails(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	loop, log := looptest.New(t)
	reopen := func() error { return nil }
	used := map[string]string{"udp": "127.0.0.1:0", "unixgram": filepath.Join(dir, "used")}
	for network, address := range used {
		d, err := logrotate.Listen(loop, address, reopen, logrotate.Config{})
		if err != nil {
			t.Fatal(err)
		}
		used[network] = d.Addr().String()
	}
	var wrongAddress *net.AddrError
	for _, tt := range []struct {
		address string
		config  logrotate.Config
		network string
		is      error // nil: an AddrError
	}{
		{"", logrotate.Config{}, "udp", nil},
		{"nonsense", logrotate.Config{}, "udp", nil},
		{"127.0.0.1:99999", logrotate.Config{}, "udp", nil},
		{used["udp"], logrotate.Config{}, "udp", syscall.EADDRINUSE},
		{"127.0.0.1:0", logrotate.Config{Mode: 0o600}, "udp", logrotate.ErrNoFile},
		{"127.0.0.1:0", logrotate.Config{Owner: "root"}, "udp", logrotate.ErrNoFile},
		{"127.0.0.1:0", logrotate.Config{Group: "root"}, "udp", logrotate.ErrNoFile},
		{used["unixgram"], logrotate.Config{}, "unixgram", syscall.EADDRINUSE},
		{filepath.Join(dir, "no", "s"), logrotate.Config{}, "unixgram", os.ErrNotExist},
		{abstractName(t), logrotate.Config{Mode: 0o600}, "unixgram", unixsock.ErrAbstract},
		{dir + "/", logrotate.Config{}, "unixgram", syscall.EADDRINUSE},
	} {
		d, err := logrotate.Listen(loop, tt.address, reopen, tt.config)
		var opError *net.OpError
		is := errors.Is(err, tt.is)
		if tt.is == nil {
			is = errors.As(err, &wrongAddress)
		}
		if d != nil || !is || !errors.As(err, &opError) || opError.Op != "listen" || opError.Net != tt.network {
			t.Errorf("%q, %+v: %v, want %v", tt.address, tt.config, err, tt.is)
		}
	}
	if sources := loop.Sources(); len(sources) != len(used) {
		t.Errorf("in the loop are %v", sources)
	}
	looptest.Run(t, loop)
	if _, err := logrotate.Listen(loop, "127.0.0.1:0", reopen, logrotate.Config{}); !errors.Is(err, communicator.ErrClosed) {
		t.Errorf("after the loop: %v", err)
	}
	if records := log.Records(); len(records) > 0 {
		t.Errorf("logged %q", records)
	}
}

func TestNilFunction(t *testing.T) {
	loop, _ := looptest.New(t)
	defer func() {
		if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "logrotate: ") {
			t.Errorf("it has panicked with %q", text)
		}
		if sources := loop.Sources(); len(sources) > 0 {
			t.Errorf("in the loop are %v", sources)
		}
	}()
	_, _ = logrotate.Listen(loop, "127.0.0.1:0", nil, logrotate.Config{})
}
