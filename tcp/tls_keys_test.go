//go:build linux

package tcp_test

import (
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// keyed is a client of TLS 1.3 that makes its records itself; it reads by crypto/tls.
type keyed struct {
	*tls.Conn
	raw    net.Conn
	sender *tlstest.Sender
}

// keyedPeer connects one to a server that sends no tickets.
func keyedPeer(tb testing.TB, r *served, raw net.Conn) *keyed {
	tb.Helper()
	keys := &tlstest.KeyLog{}
	config := ofVersion(r.client(), tls.VersionTLS13)
	config.KeyLogWriter = keys
	conn := tls.Client(raw, config)
	if err := conn.Handshake(); err != nil {
		tb.Fatal(err)
	}
	return &keyed{conn, raw, keys.ClientSender(tb, conn.ConnectionState())}
}

// send sends records as they are.
func (k *keyed) send(tb testing.TB, records ...[]byte) {
	tb.Helper()
	var all []byte
	for _, r := range records {
		all = append(all, r...)
	}
	if _, err := k.raw.Write(all); err != nil {
		tb.Fatal(err)
	}
}

// TestNewKeys: a peer's new keys are taken, between records and in two of them, and answered at once where
// it asks for that, also when there is nothing else to say.
func TestNewKeys(t *testing.T) {
	r := serveTLS(t, service{config: &tls.Config{SessionTicketsDisabled: true}})
	peer := keyedPeer(t, r, plain(t, r.address))
	peer.send(t, peer.sender.Text("one"), peer.sender.KeyUpdate(true), peer.sender.Text("two"))
	expect(t, peer, "onetwo")
	peer.send(t, peer.sender.KeyUpdate(false))
	peer.send(t, peer.sender.Text("three"))
	expect(t, peer, "three")

	half := tlstest.NewKey(true)
	peer.send(t, peer.sender.Record(tlstest.Handshake, half[:2], 0))
	r.do(func() {})
	peer.send(t, peer.sender.Record(tlstest.Handshake, half[2:], 0))
	peer.sender.UseNewKey()
	answer := make([]byte, 5)
	if _, err := io.ReadFull(peer.raw, answer); err != nil || answer[0] != tlstest.ApplicationData {
		t.Errorf("the answer to a new key: % x, %v", answer, err)
	}
}

// TestNewKeysFlood: a peer that asks for new keys and never reads the answers is cut off.
func TestNewKeysFlood(t *testing.T) {
	ended := make(chan error, 1)
	r := serveTLS(t, service{
		config:  &tls.Config{SessionTicketsDisabled: true},
		options: tcp.Options{SendBuffer: 8192, ReceiveBuffer: 8192},
		serve:   into(closing{ended}, connection.StreamConfig{}),
	})
	raw := plain(t, r.address)
	_ = raw.(*net.TCPConn).SetReadBuffer(4096)
	peer := keyedPeer(t, r, raw)
	for written := 0; ; {
		var records []byte
		for range 500 { // what crypto/tls takes without a byte of text between is less
			records = append(append(records, peer.sender.KeyUpdate(true)...), peer.sender.Text("x")...)
		}
		n, err := peer.raw.Write(records)
		if written += n; err != nil {
			break
		}
		if written > 4<<20 {
			t.Errorf("the server answers after %d bytes", written)
			break
		}
	}
	if err := looptest.Await(t, ended, "the end"); !errors.Is(err, connection.ErrOutputLimit) {
		t.Errorf("ended with %v", err)
	}
}

// closing is a handler that throws away what comes.
type closing struct{ ended chan error }

func (closing) HandleData(_ *connection.Stream, data []byte) (int, error) { return len(data), nil }
func (c closing) HandleClose(_ *connection.Stream, cause error)           { c.ended <- cause }

// TestOddRecords: empty and padded records, alerts that say nothing, new keys and text, in pieces: nothing
// is left behind.
func TestOddRecords(t *testing.T) {
	for seed := range uint64(15) {
		random := rand.New(rand.NewPCG(seed, 0))
		k := newSink(t, noise(random, 1+random.IntN(50_000)), seed)
		seen := k.seen
		if seed%3 == 1 {
			k.take = func(k *sink, _ *connection.Stream, data []byte) int { return k.random.IntN(len(data) + 1) }
		}
		r := serveTLS(t, service{serve: into(k, connection.StreamConfig{})})
		peer := keyedPeer(t, r, plain(t, r.address))
		var records []byte
		useless := 0
		for text := k.want; len(text) > 0; {
			odd := random.IntN(8)
			if useless > 10 { // crypto/tls takes 16 in a row
				odd = 7
			}
			useless++
			switch odd {
			case 0:
				records = append(records, peer.sender.Record(tlstest.ApplicationData, nil, random.IntN(100))...)
			case 1:
				records = append(records, peer.sender.Record(tlstest.Alert, []byte{1, 90}, 0)...) // user_canceled
			case 2:
				records = append(records, peer.sender.KeyUpdate(random.IntN(2) == 0)...)
			case 3:
				records = append(records, 20, 3, 3, 0, 1, 1) // change_cipher_spec, which has no meaning
			default:
				n := min(len(text), randomSize(random), 1<<14-100)
				records = append(records, peer.sender.Record(tlstest.ApplicationData, text[:n], random.IntN(100))...)
				text, useless = text[n:], 0
			}
		}
		sendPieces(r, peer.raw, records, random)
		select {
		case <-seen:
		case err := <-k.ended:
			t.Fatalf("seed %d: ended with %v", seed, err)
		case <-time.After(looptest.Patience):
			t.Fatalf("seed %d: waited in vain for the last byte", seed)
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestTooManyUseless: records that say nothing are not taken for ever.
func TestTooManyUseless(t *testing.T) {
	ended := make(chan error, 1)
	r := serveTLS(t, service{serve: into(closing{ended}, connection.StreamConfig{})})
	peer := keyedPeer(t, r, plain(t, r.address))
	for range 50 {
		if _, err := peer.raw.Write(peer.sender.Record(tlstest.ApplicationData, nil, 0)); err != nil {
			break
		}
	}
	if err := looptest.Await(t, ended, "the end"); err == nil {
		t.Error("taken")
	}
}
