package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/shmconn/internal/wire"
)

// golden are packets and their bytes, by the table of the package's comment.
var golden = []struct {
	name   string
	packet wire.Packet
	bytes  string
}{
	{"a hello", wire.Packet{Kind: wire.Hello, First: 1 << 16, Second: 1<<24 + 5}, `
		65 64 2d 72 69 6e 67 0a   01 00   01 00   00 00 00 00
		00 00 00 00 00 00 00 00   00 00 01 00 00 00 00 00
		05 00 00 01 00 00 00 00   00 00 00 00 00 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00`},
	{"a hello with features", wire.Packet{Kind: wire.Hello, Features: 0x8000000000000001, First: 64}, `
		65 64 2d 72 69 6e 67 0a   01 00   01 00   00 00 00 00
		01 00 00 00 00 00 00 80   40 00 00 00 00 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00`},
	{"a hello with the largest ring", wire.Packet{Kind: wire.Hello, First: 1 << 12, Third: 1 << 26}, `
		65 64 2d 72 69 6e 67 0a   01 00   01 00   00 00 00 00
		00 00 00 00 00 00 00 00   00 10 00 00 00 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 04 00 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00`},
	{"a refusal of a ring", wire.Packet{Kind: wire.Refusal, Reason: wire.WantsRecords}, `
		65 64 2d 72 69 6e 67 0a   01 00   02 00   08 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00`},
	{"a refusal", wire.Packet{Kind: wire.Refusal, Reason: wire.BadCapacity}, `
		65 64 2d 72 69 6e 67 0a   01 00   02 00   03 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00`},
	{"a large record", wire.Packet{Kind: wire.Large, First: 3, Second: 0x123456789abcdef0}, `
		65 64 2d 72 69 6e 67 0a   01 00   03 00   00 00 00 00
		00 00 00 00 00 00 00 00   03 00 00 00 00 00 00 00
		f0 de bc 9a 78 56 34 12   00 00 00 00 00 00 00 00
		00 00 00 00 00 00 00 00   00 00 00 00 00 00 00 00`},
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		want, err := hex.DecodeString(strings.Join(strings.Fields(g.bytes), ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := g.packet.Append(nil); !bytes.Equal(got, want) {
			t.Errorf("%s is\n%snot\n%s", g.name, hex.Dump(got), hex.Dump(want))
		}
		if got := g.packet.Append([]byte("before")); !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("%s isn't appended", g.name)
		}
		if got, err := wire.Parse(want); got != g.packet || err != nil {
			t.Errorf("%s is read as %+v, %v", g.name, got, err)
		}
	}
}

// changed is a packet with some bytes changed.
func changed(p wire.Packet, at int, to ...byte) []byte {
	b := p.Append(nil)
	copy(b[at:], to)
	return b
}

func TestParseRefuses(t *testing.T) {
	hello := wire.Packet{Kind: wire.Hello, First: 64}
	tooOld := wire.Packet{Kind: wire.Refusal, Reason: wire.BadVersion}
	for _, c := range []struct {
		name    string
		bytes   []byte
		version uint16 // 0: it is ErrForeign
	}{
		{"nothing", nil, 0},
		{"too short", hello.Append(nil)[:wire.Size-1], 0},
		{"too long", append(hello.Append(nil), 0), 0},
		{"other magic", changed(hello, 7, 0), 0},
		{"text", []byte(strings.Repeat("GET / ", 11)[:wire.Size]), 0},
		{"a later version", changed(hello, 8, 2), 2},
		{"version 0x0201", changed(hello, 8, 1, 2), 0x201},
		{"a later version of what isn't known", changed(hello, 8, 2, 0, 77), 2},
		{"a refusal for the version", changed(tooOld, 8, 9), 9},
	} {
		_, err := wire.Parse(c.bytes)
		if c.version == 0 {
			if !errors.Is(err, wire.ErrForeign) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var other *wire.VersionError
		if !errors.As(err, &other) || other.Version != c.version || errors.Is(err, wire.ErrForeign) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestRefusalsOfOtherVersions holds that why a side was refused can be read whatever version the other one speaks.
func TestRefusalsOfOtherVersions(t *testing.T) {
	for _, reason := range []wire.Reason{wire.BadMemory, wire.BadCapacity, wire.BadHello, wire.NoResources, wire.BadRing, 99} {
		p := wire.Packet{Kind: wire.Refusal, Reason: reason}
		if got, err := wire.Parse(changed(p, 8, 7)); got.Kind != wire.Refusal || got.Reason != reason || err != nil {
			t.Errorf("%v is read as %+v, %v", reason, got, err)
		}
	}
	p := wire.Packet{Kind: wire.Refusal, Reason: wire.BadVersion}
	if got, err := wire.Parse(p.Append(nil)); got != p || err != nil {
		t.Errorf("of the same version: %+v, %v", got, err)
	}
}

func TestTexts(t *testing.T) {
	seen := map[string]wire.Reason{}
	for r := wire.BadVersion; r <= wire.WantsRecords+1; r++ {
		text := r.String()
		if other, ok := seen[text]; ok || text == "" {
			t.Errorf("the reasons %d and %d are both %q", other, r, text)
		}
		seen[text] = r
	}
	for r, want := range map[wire.Reason]string{
		wire.BadRing: "a corrupt ring", wire.WantsStream: "it takes a stream, not records", wire.WantsRecords: "it takes records, not a stream",
	} {
		if text := r.String(); text != want {
			t.Errorf("the reason %d is %q, not %q", r, text, want)
		}
	}
	if text := wire.Reason(1234).String(); text != "reason 1234" {
		t.Errorf("an unknown reason is %q", text)
	}
	if text := (&wire.VersionError{Version: 7}).Error(); !strings.Contains(text, "version 7 ") || !strings.Contains(text, "version 1") {
		t.Errorf("%q doesn't say both versions", text)
	}
}

func TestAllocations(t *testing.T) {
	room := make([]byte, 0, wire.Size)
	p := wire.Packet{Kind: wire.Large, First: 1, Second: 2}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := wire.Parse(p.Append(room)); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a packet allocates %v times", n)
	}
}

// FuzzParse holds that what is read is written the same, and that anything else is one of two errors.
func FuzzParse(f *testing.F) {
	for _, g := range golden {
		f.Add(g.packet.Append(nil))
	}
	f.Add(changed(golden[0].packet, 8, 2))
	f.Add(changed(golden[2].packet, 8, 2, 0, 2, 0, 1))
	f.Add(changed(golden[0].packet, 40, 1, 2, 3))
	f.Add([]byte("ed-ring\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		p, err := wire.Parse(b)
		if !bytes.Equal(b, before) {
			t.Fatal("Parse has written to what it reads")
		}
		var other *wire.VersionError
		switch {
		case errors.Is(err, wire.ErrForeign):
			if len(b) == wire.Size && bytes.HasPrefix(b, []byte("ed-ring\n")) {
				t.Errorf("%x is called foreign", b)
			}
			return
		case errors.As(err, &other):
			if other.Version == wire.Version || b[8] == wire.Version && b[9] == 0 {
				t.Errorf("%x is called of version %d", b, other.Version)
			}
			return
		case err != nil:
			t.Fatalf("another error: %v", err)
		}
		again, err := wire.Parse(p.Append(nil))
		if again != p || err != nil {
			t.Errorf("%+v is read as %+v, %v", p, again, err)
		}
		// The version of a refusal and what is to be zero may be anything.
		same := p.Append(nil)
		if !bytes.Equal(same[10:40], b[10:40]) {
			t.Errorf("%x is written as %x", b, same)
		}
		if p.Kind != wire.Refusal && !bytes.Equal(same[:10], b[:10]) {
			t.Errorf("%x is written as %x", b, same)
		}
	})
}
