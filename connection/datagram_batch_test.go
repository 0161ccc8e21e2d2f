//go:build linux

package connection_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestDatagramPausedInBatch: what was received with others, and waits while the socket is paused, is handed over
// afterwards, in order, although the kernel has nothing more.
func TestDatagramPausedInBatch(t *testing.T) {
	const n = 40
	loop, _ := looptest.New(t)
	var got []string
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(d *connection.Datagram, data []byte, _ connection.Peer) error {
		got = append(got, string(data))
		if len(got) == n {
			d.Close()
			return nil
		}
		d.Handle().SetEnabled(false)
		return loop.Post(func() { // a turn later, in which nothing may come
			seen := len(got)
			_ = loop.Post(func() {
				if len(got) != seen {
					t.Errorf("%d came while the socket was paused", len(got)-seen)
				}
				d.Handle().SetEnabled(true)
			})
		})
	}), connection.DatagramConfig{})
	conn := client(t, d)
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
		send(t, conn, want[i])
	}
	run(t, loop)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestDatagramFullBatches: the ends of batches, at which nothing more may be there.
func TestDatagramFullBatches(t *testing.T) {
	for _, n := range []int{1, 15, 16, 17, 32, 63, 64, 65} {
		loop, _ := looptest.New(t)
		seen := 0
		d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(d *connection.Datagram, data []byte, _ connection.Peer) error {
			if cap(data) != len(data) {
				t.Errorf("an append would overwrite %d bytes of the next", cap(data)-len(data))
			}
			if seen++; string(data) == "last" {
				d.Close()
			}
			return nil
		}), connection.DatagramConfig{})
		conn := client(t, d)
		for range n {
			send(t, conn, "x")
		}
		go func() {
			// sent when the loop has taken the others, or meanwhile
			_, _ = conn.Write([]byte("last"))
		}()
		run(t, loop)
		if seen != n+1 || d.Received() != uint64(n+1) {
			t.Errorf("%d of %d came", seen, n+1)
		}
	}
}

func TestDatagramTruncated(t *testing.T) {
	loop, _ := looptest.New(t)
	var got []int
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(d *connection.Datagram, data []byte, _ connection.Peer) error {
		if got = append(got, len(data)); len(got) == 3 {
			d.Close()
		}
		return nil
	}), connection.DatagramConfig{MaxSize: 100})
	conn := client(t, d)
	for _, size := range []int{99, 101, 100, 60000, 0} {
		send(t, conn, strings.Repeat("x", size))
	}
	run(t, loop)
	if !slices.Equal(got, []int{99, 100, 0}) || d.Truncated() != 2 || d.Received() != 5 {
		t.Errorf("got %d bytes, %d truncated, %d received", got, d.Truncated(), d.Received())
	}
}

// TestWriteBatch sends to several peers at once, more than go with one call.
func TestWriteBatch(t *testing.T) {
	const n = 150
	loop, _ := looptest.New(t)
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(nil), connection.DatagramConfig{})
	conns := []net.Conn{client(t, d), client(t, d)}
	var batch []connection.Outgoing
	for i := range n {
		batch = append(batch, connection.Outgoing{Data: []byte(fmt.Sprint(i)), To: peerOf(conns[i%2])})
	}
	if sent, err := d.WriteBatch(batch); sent != n || err != nil {
		t.Fatalf("sent %d, %v", sent, err)
	}
	for i := range n {
		if got := receive(t, conns[i%2]); got != fmt.Sprint(i) {
			t.Errorf("datagram %d is %q", i, got)
		}
	}
	batch[70].Data = make([]byte, 70_000)
	sent, err := d.WriteBatch(batch)
	var opError *net.OpError
	if sent != 70 || !errors.Is(err, syscall.EMSGSIZE) || !errors.As(err, &opError) || opError.Addr.String() != batch[70].To.String() {
		t.Errorf("sent %d, %v; want 70, EMSGSIZE", sent, err)
	}
	batch[5].To = connection.Peer{}
	if sent, err := d.WriteBatch(batch); sent != 5 || !errors.Is(err, syscall.EDESTADDRREQ) {
		t.Errorf("sent %d, %v; want 5, EDESTADDRREQ", sent, err)
	}
	if d.Sent() != n+70+5 || d.Dropped() != 0 {
		t.Errorf("counted %d sent, %d dropped", d.Sent(), d.Dropped())
	}
	if sent, err := d.WriteBatch(nil); sent != 0 || err != nil {
		t.Errorf("nothing: %d, %v", sent, err)
	}
	d.Close()
	if sent, err := d.WriteBatch(batch); sent != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %d, %v", sent, err)
	}
}

// TestBatchWrites: what is written in a callback goes out after its last datagram, in order, also when the
// socket is closed there; what can't be sent is counted and logged once.
func TestBatchWrites(t *testing.T) {
	const n = 100
	loop, log := looptest.New(t)
	var conn net.Conn
	seen := 0
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
		before := d.Sent()
		if seen++; seen == n {
			d.Close()
			return nil
		}
		if err := d.WriteTo(data, from); err != nil {
			t.Error(err)
		}
		if seen%10 == 0 {
			if err := d.WriteTo(make([]byte, 65_510), from); err != nil { // longer than UDP has
				t.Error(err)
			}
		}
		if seen < 10 && d.Sent() != before {
			t.Error("sent at once")
		}
		return nil
	}), connection.DatagramConfig{BatchWrites: true})
	conn = client(t, d)
	for i := range n {
		send(t, conn, fmt.Sprint(i))
	}
	run(t, loop)
	for i := range n - 1 {
		if got := receive(t, conn); got != fmt.Sprint(i) {
			t.Errorf("datagram %d is %q", i, got)
		}
	}
	if d.Sent() != n-1 || d.Dropped() != 9 {
		t.Errorf("%d sent, %d dropped", d.Sent(), d.Dropped())
	}
	if found := log.Containing("not sent"); len(found) != 1 {
		t.Errorf("logged %q", found)
	}
}

// TestBatchWritesOutside of a callback are sent at once, and their errors returned.
func TestBatchWritesOutside(t *testing.T) {
	loop, _ := looptest.New(t)
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(nil), connection.DatagramConfig{BatchWrites: true})
	conn := client(t, d)
	if err := d.WriteTo([]byte("now"), peerOf(conn)); err != nil || d.Sent() != 1 {
		t.Errorf("%v, %d sent", err, d.Sent())
	}
	if got := receive(t, conn); got != "now" {
		t.Errorf("got %q", got)
	}
	if err := d.WriteTo(make([]byte, 70_000), peerOf(conn)); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("WriteTo: %v", err)
	}
}

// BenchmarkDatagramEcho is an echo of batches of 16.
func BenchmarkDatagramEcho(b *testing.B) {
	for _, batched := range []bool{false, true} {
		b.Run(fmt.Sprintf("batched=%v", batched), func(b *testing.B) {
			loop, _ := looptest.New(b)
			left := b.N
			peer := udpSocket(b)
			defer unix.Close(peer)
			var d *connection.Datagram
			buf := make([]byte, 100)
			var to unix.Sockaddr
			post := func() {
				for range min(16, left) {
					_ = unix.Sendto(peer, buf, 0, to)
				}
			}
			count := 0
			d = newDatagram(b, loop, udpSocket(b), connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
				if err := d.WriteTo(data, from); err != nil {
					return err
				}
				if left--; left == 0 {
					d.Close()
				}
				if count++; count == 16 {
					count = 0
					_ = loop.Post(func() {
						for range 16 {
							_, _ = unix.Read(peer, buf)
						}
						post()
					})
				}
				return nil
			}), connection.DatagramConfig{BatchWrites: batched})
			to = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: d.Addr().(*net.UDPAddr).Port}
			post()
			b.ReportAllocs()
			b.ResetTimer()
			run(b, loop)
		})
	}
}

// TestManyPeers: answers go to whom they are for, whatever was remembered of the one before.
func TestManyPeers(t *testing.T) {
	loop, _ := looptest.New(t)
	var all []connection.Peer
	d := newDatagram(t, loop, udpSocket(t), connection.DatagramFunc(func(d *connection.Datagram, data []byte, from connection.Peer) error {
		for _, p := range append(all, from) {
			if err := d.WriteTo(data, p); err != nil {
				return err
			}
		}
		if all = append(all, from); len(all) == 3 {
			d.Close()
		}
		return nil
	}), connection.DatagramConfig{BatchWrites: true})
	conns := []net.Conn{client(t, d), client(t, d), client(t, d)}
	for i, conn := range conns {
		send(t, conn, fmt.Sprint(i))
	}
	run(t, loop)
	for i, conn := range conns {
		for k := i; k < len(conns); k++ {
			if got := receive(t, conn); got != fmt.Sprint(k) {
				t.Errorf("peer %d got %q, want %d", i, got, k)
			}
		}
	}
	if len(map[connection.Peer]bool{all[0]: true, all[1]: true, all[2]: true}) != 3 || all[0] != connection.PeerFrom(netip.MustParseAddrPort(all[0].String())) {
		t.Errorf("the peers are %v", all)
	}
}
