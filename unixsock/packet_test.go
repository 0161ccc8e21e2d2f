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
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// TestPacketConnections: each packet is handed over as one, in both directions, and either end ends the connection.
func TestPacketConnections(t *testing.T) {
	fdtest.Check(t)
	path := socketPath(t)
	loop, log := looptest.New(t)
	var ended []error
	var opened int
	echo := connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
		return d.WriteTo(data, from)
	})
	l, err := unixsock.ListenPackets(loop, path, echo, unixsock.PacketListenConfig{
		Listener: connection.ListenConfig{MaxConnections: 2},
		Datagram: connection.DatagramConfig{Closed: func(_ *connection.Datagram, cause error) { ended = append(ended, cause) }},
		Opened: func(d *connection.Datagram) error {
			opened++
			_, err := d.Write([]byte("welcome"))
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	const clients = 3
	got := make([][]string, clients)
	closed := 0
	for i := range clients {
		d, err := unixsock.DialPackets(loop, path, connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
			if from != connection.PeerFromPath(path) || from != d.Remote() {
				t.Errorf("a packet from %v", from)
			}
			if got[i] = append(got[i], string(data)); len(got[i]) == 3 {
				d.Close()
			}
			return nil
		}), connection.DatagramConfig{Closed: func(_ *connection.Datagram, cause error) {
			if cause != nil {
				t.Errorf("a client ended with %v", cause)
			}
			if closed++; closed == clients {
				l.Close()
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if want := "unixpacket " + path; d.Handle().Name() != want {
			t.Errorf("it is called %q", d.Handle().Name())
		}
		for _, text := range []string{"a", "bc"} {
			if _, err := d.Write([]byte(text)); err != nil {
				t.Error(err)
			}
		}
	}
	looptest.Run(t, loop)
	for i := range clients {
		if want := []string{"welcome", "a", "bc"}; !slices.Equal(got[i], want) {
			t.Errorf("client %d got %q", i, got[i])
		}
	}
	if opened != clients || !slices.Equal(ended, make([]error, clients)) || len(log.Containing("ERROR")) > 0 {
		t.Errorf("%d opened, ended with %v, logged %q", opened, ended, log.Records())
	}
}

func TestPacketErrors(t *testing.T) {
	fdtest.Check(t)
	dir := t.TempDir()
	loop := looptest.NewLogging(t, slog.DiscardHandler)
	stream := filepath.Join(dir, "stream")
	mustListen(t, loop, stream, unixsock.ListenConfig{})
	full := filepath.Join(dir, "full")
	fd := rawBind(t, full, unix.SOCK_SEQPACKET)
	defer unix.Close(fd)
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the backlog and one more
		_, _ = unixsock.DialPackets(loop, full, silent, connection.DatagramConfig{})
	}
	for path, want := range map[string]error{
		filepath.Join(dir, "none"): syscall.ENOENT,
		stream:                     syscall.EPROTOTYPE,
		full:                       connection.ErrWouldBlock,
		"":                         nil,
	} {
		d, err := unixsock.DialPackets(loop, path, silent, connection.DatagramConfig{})
		var opError *net.OpError
		if d != nil || !errors.As(err, &opError) || opError.Op != "dial" || opError.Net != "unixpacket" || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", path, err, want)
		}
	}
}

// TestPacketsTurnedDown: a filter, and a server that says no.
func TestPacketsTurnedDown(t *testing.T) {
	fdtest.Check(t)
	no := errors.New("no")
	for _, filtered := range []bool{true, false} {
		path := socketPath(t)
		loop, _ := looptest.New(t)
		var ended []error
		config := unixsock.PacketListenConfig{
			Datagram: connection.DatagramConfig{Closed: func(_ *connection.Datagram, cause error) { ended = append(ended, cause) }},
			Opened:   func(*connection.Datagram) error { return no },
		}
		if filtered {
			config.Filter = &unixsock.Filter{}
		}
		l, err := unixsock.ListenPackets(loop, path, silent, config)
		if err != nil {
			t.Fatal(err)
		}
		_, err = unixsock.DialPackets(loop, path, silent, connection.DatagramConfig{
			Closed: func(*connection.Datagram, error) { l.Close() },
		})
		if err != nil {
			t.Fatal(err)
		}
		looptest.Run(t, loop)
		if filtered && (config.Filter.Refused() != 1 || len(ended) > 0) || !filtered && !slices.Equal(ended, []error{no}) {
			t.Errorf("filtered %v: ended with %v", filtered, ended)
		}
	}
}

// A server that answers each packet, and a client in the same loop.
func ExampleListenPackets() {
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
	greet := connection.DatagramFunc(func(d *connection.Datagram, data []byte, _ connection.Peer) error {
		_, err := fmt.Fprintf(d, "hello %s", data)
		return err
	})
	if _, err := unixsock.ListenPackets(loop, path, greet, unixsock.PacketListenConfig{}); err != nil {
		fmt.Println(err)
		return
	}
	show := connection.DatagramFunc(func(_ *connection.Datagram, data []byte, _ connection.Peer) error {
		fmt.Printf("%s\n", data)
		loop.Stop(nil)
		return nil
	})
	client, err := unixsock.DialPackets(loop, path, show, connection.DatagramConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(client, "Ada")
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// hello Ada
	// <nil>
}
