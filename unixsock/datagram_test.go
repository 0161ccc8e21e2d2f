//go:build linux

package unixsock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

var silent = connection.DatagramFunc(func(*connection.Datagram, []byte, connection.Peer) error { return nil })

// abstractName is a name that no other test has.
func abstractName(t *testing.T) string {
	return fmt.Sprintf("@%s-%d", t.Name(), os.Getpid())
}

// TestDatagrams: messages as long as may be go there and back, between a path or a name and a socket with none of its own.
func TestDatagrams(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "s"), abstractName(t)} {
		loop, log := looptest.New(t)
		long := strings.Repeat("x", connection.DefaultMaxUnixMessage-len("PONG a="))
		var server, client *connection.Datagram
		service := connection.NewMessageDatagrams(message.HandlerFunc(func(from message.Sender, m *message.Message) error {
			if err := from.Send(m.Reply("PONG").Set("a", m.Get("a")+"x")); !errors.Is(err, connection.ErrSize) {
				t.Errorf("longer: %v", err)
			}
			return from.Send(m.Reply("PONG").Set("a", m.Get("a")))
		}), connection.MessageDatagramConfig{})
		asking := connection.NewMessageDatagrams(message.HandlerFunc(func(from message.Sender, m *message.Message) error {
			if p := from.(*connection.PeerSender).Peer(); p != connection.PeerFromPath(path) || m.Get("a") != long {
				t.Errorf("%d bytes from %v", len(m.Get("a")), p)
			}
			client.Close()
			server.Close()
			return nil
		}), connection.MessageDatagramConfig{})
		var err error
		if server, err = unixsock.ListenDatagram(loop, path, service, unixsock.DatagramListenConfig{}); err != nil {
			t.Fatal(err)
		}
		if client, err = unixsock.OpenDatagram(loop, asking, connection.DatagramConfig{}); err != nil {
			t.Fatal(err)
		}
		if own := client.Addr().(*net.UnixAddr); own.Net != "unixgram" || !strings.HasPrefix(own.Name, "@") {
			t.Errorf("the kernel has chosen %v", own)
		}
		if err := asking.SenderTo(client, connection.PeerFromPath(path)).Send(message.New("PING").Set("a", long)); err != nil {
			t.Fatal(err)
		}
		looptest.Run(t, loop)
		if len(log.Records()) > 0 {
			t.Errorf("logged %q", log.Records())
		}
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("left behind %v, %v", left, err)
	}
}

// TestDatagramFiles: a file that was left behind is replaced, one in use and one that is no socket are left alone.
func TestDatagramFiles(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	stale, used, text := filepath.Join(dir, "stale"), filepath.Join(dir, "used"), filepath.Join(dir, "text")
	_ = unix.Close(rawBind(t, stale, unix.SOCK_DGRAM))
	live := rawBind(t, used, unix.SOCK_DGRAM)
	defer unix.Close(live)
	if err := os.WriteFile(text, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	listen := map[string]func(path string, mode os.FileMode) (stop func(), err error){
		"listen unixgram": func(path string, mode os.FileMode) (func(), error) {
			d, err := unixsock.ListenDatagram(loop, path, silent, unixsock.DatagramListenConfig{Mode: mode})
			if err != nil {
				return nil, err
			}
			return d.Close, nil
		},
		"listen unixpacket": func(path string, mode os.FileMode) (func(), error) {
			l, err := unixsock.ListenPackets(loop, path, silent, unixsock.PacketListenConfig{Mode: mode})
			if err != nil {
				return nil, err
			}
			return l.Close, nil
		},
	}
	for name, f := range listen {
		for _, path := range []string{used, text, ""} {
			_, err := f(path, 0)
			var opError *net.OpError
			if !errors.As(err, &opError) || opError.Op+" "+opError.Net != name || path != "" && !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%s at %q: %v", name, path, err)
			}
		}
		if _, err := f(abstractName(t), 0o600); !errors.Is(err, unixsock.ErrAbstract) {
			t.Errorf("%s with a mode and no file: %v", name, err)
		}
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if name == "listen unixgram" {
			path = stale
		}
		stop, err := f(path, 0o640)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: the mode is %v, %v", name, info.Mode(), err)
		}
		stop()
	}
	looptest.Run(t, loop)
	var names []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"text", "used"}) || err != nil {
		t.Errorf("the folder has %q, %v", names, err)
	}
}

// A service that answers messages, and a client in the same loop.
func ExampleListenDatagram() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "demo.sock")
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	greet := connection.NewMessageDatagrams(message.HandlerFunc(func(from message.Sender, m *message.Message) error {
		return from.Send(m.Reply("HELLO").Set("name", m.Get("name")))
	}), connection.MessageDatagramConfig{})
	if _, err := unixsock.ListenDatagram(loop, path, greet, unixsock.DatagramListenConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	show := connection.NewMessageDatagrams(message.HandlerFunc(func(_ message.Sender, m *message.Message) error {
		fmt.Println(m)
		loop.Stop(nil)
		return nil
	}), connection.MessageDatagramConfig{})
	client, err := unixsock.OpenDatagram(loop, show, connection.DatagramConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := show.SenderTo(client, connection.PeerFromPath(path)).Send(message.New("GREET").Set("name", "Ada")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// HELLO name=Ada
	// <nil>
}
