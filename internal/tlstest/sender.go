package tlstest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
	"testing"
)

// The types of records (RFC 8446, section 5.1).
const (
	Alert           = 21
	Handshake       = 22
	ApplicationData = 23
)

// CloseNotify is the content of the alert that ends a side in good order.
var CloseNotify = []byte{1, 0}

// KeyLog is the KeyLogWriter of a tls.Config, for one connection. Any goroutine may use it.
type KeyLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps a line.
func (k *KeyLog) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Write(p)
}

func (k *KeyLog) secret(tb testing.TB, label string) []byte {
	tb.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for line := range strings.Lines(k.text.String()) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == label {
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				tb.Fatal(err)
			}
			return secret
		}
	}
	tb.Fatalf("no %s in the key log", label)
	return nil
}

// Sender makes the records of one side of a TLS 1.3 connection in the place of crypto/tls, which has made the handshake and must
// not have written since: also those that crypto/tls never writes.
type Sender struct {
	tb     testing.TB
	hash   func() hash.Hash
	size   int // of a key
	secret []byte
	seal   cipher.AEAD
	iv     []byte
	seq    uint64
}

// ClientSender makes those of the client, whose config has that key log. It skips the test without AES.
func (k *KeyLog) ClientSender(tb testing.TB, state tls.ConnectionState) *Sender {
	tb.Helper()
	s := &Sender{tb: tb, secret: k.secret(tb, "CLIENT_TRAFFIC_SECRET_0")}
	switch state.CipherSuite {
	case tls.TLS_AES_128_GCM_SHA256:
		s.hash, s.size = sha256.New, 16
	case tls.TLS_AES_256_GCM_SHA384:
		s.hash, s.size = sha512.New384, 32
	default:
		tb.Skipf("crypto/tls prefers %s on this machine", tls.CipherSuiteName(state.CipherSuite))
	}
	s.setKeys()
	return s
}

// expand is HKDF-Expand-Label (RFC 8446, section 7.1) without a context.
func (s *Sender) expand(label string, length int) []byte {
	label = "tls13 " + label
	info := append(binary.BigEndian.AppendUint16(nil, uint16(length)), byte(len(label)))
	key, err := hkdf.Expand(s.hash, s.secret, string(info)+label+"\x00", length)
	if err != nil {
		s.tb.Fatal(err)
	}
	return key
}

func (s *Sender) setKeys() {
	block, err := aes.NewCipher(s.expand("key", s.size))
	if err == nil {
		s.seal, err = cipher.NewGCM(block)
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	s.iv = s.expand("iv", s.seal.NonceSize())
	s.seq = 0
}

// Record makes a record of a type, padded with zeros.
func (s *Sender) Record(kind byte, content []byte, padding int) []byte {
	inner := append(append(bytes.Clone(content), kind), make([]byte, padding)...)
	header := binary.BigEndian.AppendUint16([]byte{ApplicationData, 3, 3}, uint16(len(inner)+s.seal.Overhead()))
	nonce := bytes.Clone(s.iv)
	tail := nonce[len(nonce)-8:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^s.seq)
	s.seq++
	return s.seal.Seal(header, nonce, inner, header)
}

// Text makes a record of application data.
func (s *Sender) Text(text string) []byte { return s.Record(ApplicationData, []byte(text), 0) }

// NewKey is the message that the next record comes with a new key, and asks for one of the other side's if it is to. The records
// that carry it come from Record; then call UseNewKey.
func NewKey(request bool) []byte {
	message := []byte{24, 0, 0, 1, 0}
	if request {
		message[4] = 1
	}
	return message
}

// UseNewKey goes over to the next key (RFC 8446, section 7.2).
func (s *Sender) UseNewKey() {
	s.secret = s.expand("traffic upd", len(s.secret))
	s.setKeys()
}

// KeyUpdate makes the record that tells of a new key, and goes over to that.
func (s *Sender) KeyUpdate(request bool) []byte {
	record := s.Record(Handshake, NewKey(request), 0)
	s.UseNewKey()
	return record
}
