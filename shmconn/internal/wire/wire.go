// Package wire is what the two sides of a ring say to each other over its socket: packets of [Size] bytes.
//
// Numbers are little-endian:
//
//	 0  magic     8 bytes, "ed-ring\n"
//	 8  version   16 bits
//	10  kind      16 bits: Hello, Refusal or Large
//	12  reason    32 bits: of a Refusal
//	16  features  64 bits: of a Hello, what the sender understands beyond version 1; nothing yet
//	24  first     64 bits: of a Hello the capacity of the sender's ring, of a Large its number
//	32  second    64 bits: of a Hello the longest record that the sender takes, of a Large its length
//	40  third     64 bits: of a Hello, and of a Refusal for BadCapacity, the largest ring that the sender maps; 0 is any
//	48  zero      16 bytes
//
// The side that has connected sends its Hello, and the other answers with its own, or with a Refusal. With a Hello go
// two descriptors: the sender's area and its bell. With a Large goes one: the memory that has the record. Magic,
// version, kind and reason stay where they are in all versions.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// Size is the length of every packet.
	Size = 64
	// Version is the one that this package speaks.
	Version = 1

	magic = "ed-ring\n"
)

// Kind is what a packet is.
type Kind uint16

// The kinds of packets.
const (
	Hello   Kind = 1
	Refusal Kind = 2
	Large   Kind = 3
)

// Reason is why a side has refused the other.
type Reason uint32

// The reasons.
const (
	BadVersion   Reason = 1
	BadMemory    Reason = 2 // not sealed, or not as large as was said
	BadCapacity  Reason = 3 // more than this side maps
	BadHello     Reason = 4 // something else is wrong with it
	NoResources  Reason = 5 // this side lacks memory or descriptors
	BadRing      Reason = 6 // later: what came through the ring can't be
	WantsStream  Reason = 7 // later: there are records in the ring
	WantsRecords Reason = 8 // later: there is a stream in the ring
)

// String names the reason.
func (r Reason) String() string {
	switch r {
	case BadVersion:
		return "it speaks another version"
	case BadMemory:
		return "memory that is not sealed, or has another size"
	case BadCapacity:
		return "a larger ring than it maps"
	case BadHello:
		return "a handshake that it doesn't understand"
	case NoResources:
		return "it lacks memory or descriptors"
	case BadRing:
		return "a corrupt ring"
	case WantsStream:
		return "it takes a stream, not records"
	case WantsRecords:
		return "it takes records, not a stream"
	}
	return fmt.Sprintf("reason %d", uint32(r))
}

// ErrForeign is returned for what is no packet of this protocol.
var ErrForeign = errors.New("the peer speaks another protocol")

// VersionError is a packet of another version.
type VersionError struct{ Version uint16 }

// Error says both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the peer speaks version %d of the protocol, this side version %d", e.Version, Version)
}

// Packet is a packet.
type Packet struct {
	Kind     Kind
	Reason   Reason
	Features uint64
	First    uint64
	Second   uint64
	Third    uint64
}

// Append appends the packet's bytes.
func (p *Packet) Append(b []byte) []byte {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, Version)
	b = binary.LittleEndian.AppendUint16(b, uint16(p.Kind))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Reason))
	b = binary.LittleEndian.AppendUint64(b, p.Features)
	b = binary.LittleEndian.AppendUint64(b, p.First)
	b = binary.LittleEndian.AppendUint64(b, p.Second)
	b = binary.LittleEndian.AppendUint64(b, p.Third)
	var zero [Size - 48]byte
	return append(b, zero[:]...)
}

// Parse reads a packet. The error is ErrForeign or a *VersionError; a Refusal is read in any version.
func Parse(b []byte) (p Packet, err error) {
	if len(b) != Size || string(b[:len(magic)]) != magic {
		return p, ErrForeign
	}
	version := binary.LittleEndian.Uint16(b[8:])
	p.Kind = Kind(binary.LittleEndian.Uint16(b[10:]))
	p.Reason = Reason(binary.LittleEndian.Uint32(b[12:]))
	if version != Version && p.Kind != Refusal {
		return p, &VersionError{version}
	}
	if p.Kind == Refusal && p.Reason == BadVersion && version != Version {
		return p, &VersionError{version}
	}
	p.Features = binary.LittleEndian.Uint64(b[16:])
	p.First = binary.LittleEndian.Uint64(b[24:])
	p.Second = binary.LittleEndian.Uint64(b[32:])
	p.Third = binary.LittleEndian.Uint64(b[40:])
	return p, nil
}
