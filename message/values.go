package message

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Integer is any type of integers.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// SetInt sets a parameter to an integer, in decimal.
func (m *Message) SetInt(name string, value int64) *Message {
	return m.Set(name, strconv.FormatInt(value, 10))
}

// SetUint sets a parameter to an integer, in decimal. The C++ library reads none above 2⁶³-1 as an integer.
func (m *Message) SetUint(name string, value uint64) *Message {
	return m.Set(name, strconv.FormatUint(value, 10))
}

// GetInt reads a parameter as an integer of type T (a method can't have a type parameter): a sign or none, one of
// the prefixes 0b, 0o, 0d and 0x or none, and at least one digit; zeros in front mean nothing. The error is an
// [*Error] around [ErrMissing] or [ErrValue], the latter also for a number that T can't hold.
func GetInt[T Integer](m *Message, name string) (T, error) {
	value, err := m.require(name)
	if err != nil {
		return 0, err
	}
	negative, size, err := parseInteger(value)
	switch {
	case errors.Is(err, strconv.ErrRange):
	case err != nil:
		return 0, BadValue(name, "not an integer")
	case negative:
		if n := T(-size); n <= 0 && int64(n) == int64(-size) {
			return n, nil
		}
	default:
		if n := T(size); n >= 0 && uint64(n) == size {
			return n, nil
		}
	}
	return 0, BadValue(name, fmt.Sprintf("out of the range of %T", T(0)))
}

// parseInteger returns the sign and the absolute value.
func parseInteger(s string) (negative bool, size uint64, err error) {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		s = s[1:]
	}
	base := 10
	if len(s) > 2 && s[0] == '0' {
		prefixed := true
		switch s[1] {
		case 'b', 'B':
			base = 2
		case 'o', 'O':
			base = 8
		case 'd', 'D':
		case 'x', 'X':
			base = 16
		default:
			prefixed = false
		}
		if prefixed {
			s = s[2:]
		}
	}
	size, err = strconv.ParseUint(s, base, 64)
	return negative, size, err
}

// SetBool sets a parameter to "true" or "false".
func (m *Message) SetBool(name string, value bool) *Message {
	return m.Set(name, strconv.FormatBool(value))
}

// GetBool reads a parameter as a boolean: true, on, yes or 1; false, off, no or 0. The error is an [*Error] around
// [ErrMissing] or [ErrValue].
func (m *Message) GetBool(name string) (bool, error) {
	value, err := m.require(name)
	if err != nil {
		return false, err
	}
	switch value {
	case "true", "on", "yes", "1":
		return true, nil
	case "false", "off", "no", "0":
		return false, nil
	}
	return false, BadValue(name, "not a boolean: true, on, yes, 1, false, off, no or 0")
}

// SetBytes sets a parameter to any bytes, in base64 (RFC 4648, section 4): a value itself can't hold a NUL byte, and
// in JSON only UTF-8.
func (m *Message) SetBytes(name string, value []byte) *Message {
	return m.Set(name, base64.StdEncoding.EncodeToString(value))
}

// GetBytes reads what SetBytes wrote. The error is an [*Error] around [ErrMissing] or [ErrValue].
func (m *Message) GetBytes(name string) ([]byte, error) {
	value, err := m.require(name)
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil || strings.ContainsAny(value, "\r\n") {
		return nil, BadValue(name, "not base64")
	}
	return b, nil
}

// SetTime sets a parameter to a point in time: the seconds since 1970 in UTC, rounded down, and, unless they are zero, a dot
// and the nanoseconds since then without zeros at the end: "1795218395.0132". As in the C++ library the fraction always
// counts up: "-1.5" is half a second before 1970.
func (m *Message) SetTime(name string, value time.Time) *Message {
	return m.Set(name, string(appendSeconds(nil, value.Unix(), int64(value.Nanosecond()))))
}

// GetTime reads what SetTime writes; blanks around it, a plus sign, an s at the end and digits after the ninth, which
// are ignored, are fine. "-0.5", which SetTime does not write, is refused: it may mean either side of zero. The error
// is an [*Error] around [ErrMissing] or [ErrValue], the latter also for what a time.Time can't hold.
func (m *Message) GetTime(name string) (time.Time, error) {
	value, err := m.require(name)
	if err != nil {
		return time.Time{}, err
	}
	seconds, nanoseconds, ok := parseSeconds(value)
	if !ok {
		return time.Time{}, BadValue(name, reasonSeconds)
	}
	const year1 = -62135596800 // from where a time.Time counts its seconds
	if seconds > math.MaxInt64+year1 {
		return time.Time{}, BadValue(name, "a time that is too far away")
	}
	return time.Unix(seconds, nanoseconds), nil
}

// SetDuration sets a parameter to a duration in seconds, as SetTime does: "0.25". Half a second less than nothing is "-1.5".
func (m *Message) SetDuration(name string, value time.Duration) *Message {
	seconds, nanoseconds := int64(value/time.Second), int64(value%time.Second)
	if nanoseconds < 0 {
		seconds--
		nanoseconds += int64(time.Second)
	}
	return m.Set(name, string(appendSeconds(nil, seconds, nanoseconds)))
}

// GetDuration reads what SetDuration writes, with the freedoms of GetTime. The error is an [*Error] around
// [ErrMissing] or [ErrValue], the latter also for more than the 292 years that a time.Duration can hold.
func (m *Message) GetDuration(name string) (time.Duration, error) {
	value, err := m.require(name)
	if err != nil {
		return 0, err
	}
	seconds, nanoseconds, ok := parseSeconds(value)
	if !ok {
		return 0, BadValue(name, reasonSeconds)
	}
	if seconds < 0 && nanoseconds > 0 { // towards zero, or the smallest one would not fit
		seconds++
		nanoseconds -= int64(time.Second)
	}
	const most = int64(math.MaxInt64 / time.Second)
	d := time.Duration(seconds)*time.Second + time.Duration(nanoseconds)
	if seconds > most || seconds < -most || seconds > 0 && d < 0 || seconds < 0 && d > 0 {
		return 0, BadValue(name, "a duration of more than 292 years")
	}
	return d, nil
}

const reasonSeconds = "not a number of seconds, such as 1.5"

// appendSeconds appends seconds and the nanoseconds after them as a decimal number.
func appendSeconds(b []byte, seconds, nanoseconds int64) []byte {
	b = strconv.AppendInt(b, seconds, 10)
	if nanoseconds == 0 {
		return b
	}
	b = append(b, '.')
	for unit := int64(time.Second / 10); nanoseconds > 0; unit /= 10 {
		b = append(b, byte('0'+nanoseconds/unit))
		nanoseconds %= unit
	}
	return b
}

// parseSeconds reads a decimal number of seconds. The nanoseconds are never negative.
func parseSeconds(s string) (seconds, nanoseconds int64, ok bool) {
	s = strings.Trim(s, " \t\n\v\f\r")
	s = strings.TrimSuffix(s, "s")
	signs := 0
	if s != "" && (s[0] == '-' || s[0] == '+') {
		signs = 1
	}
	whole := s[:signs+digits(s[signs:])]
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	if s = s[len(whole):]; s != "" {
		if s[0] != '.' || digits(s[1:]) != len(s)-1 {
			return 0, 0, false
		}
		s = s[1:]
		unit := int64(time.Second / 10)
		for i := range min(len(s), 9) {
			nanoseconds += int64(s[i]-'0') * unit
			unit /= 10
		}
	}
	ambiguous := seconds == 0 && nanoseconds != 0 && whole[0] == '-'
	return seconds, nanoseconds, !ambiguous
}

// SetAddrPort sets a parameter to an IP address and a port: "127.0.0.1:4040", "[::1]:4040". An invalid one is refused
// with [ErrValue].
func (m *Message) SetAddrPort(name string, value netip.AddrPort) *Message {
	if !value.IsValid() || !isZone(value.Addr().Zone()) {
		return m.refuseAs(ErrValue, fieldParameter, name, "not a valid address")
	}
	return m.Set(name, value.String())
}

// GetAddrPort reads an IP address and a port. The mask of a single address may follow, /32 or /128; other masks are
// no address. Names of hosts are not looked up. The error is an [*Error] around [ErrMissing] or [ErrValue].
func (m *Message) GetAddrPort(name string) (netip.AddrPort, error) {
	value, err := m.require(name)
	if err != nil {
		return netip.AddrPort{}, err
	}
	address, mask, masked := strings.Cut(value, "/")
	a, err := netip.ParseAddrPort(address)
	if err != nil || !isZone(a.Addr().Zone()) || masked && mask != strconv.Itoa(a.Addr().BitLen()) {
		return netip.AddrPort{}, BadValue(name, "not an IP address with a port")
	}
	return a, nil
}

// isZone reports whether s can be the name of a network interface, or none: any text passes for the zone of an address.
func isZone(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '/' { // which begins a mask
			return false
		}
	}
	return true
}

// maxUnixPath is the size of sun_path: unix(7). There is a NUL byte after a path, and in front of an abstract name.
const maxUnixPath = 108

// SetUnixAddr sets a parameter to the path of a Unix socket, "@" in front of an abstract one. The kind of socket is not
// told. An empty path and one that no socket can have are refused with [ErrValue].
func (m *Message) SetUnixAddr(name string, value *net.UnixAddr) *Message {
	if value == nil || !isUnixPath(value.Name) {
		return m.refuseAs(ErrValue, fieldParameter, name, reasonUnixPath)
	}
	return m.Set(name, value.Name)
}

// GetUnixAddr reads the path of a Unix socket of the given network: unix, unixgram or unixpacket. The error is an
// [*Error] around [ErrMissing] or [ErrValue].
func (m *Message) GetUnixAddr(name, network string) (*net.UnixAddr, error) {
	value, err := m.require(name)
	if err != nil {
		return nil, err
	}
	if !isUnixPath(value) {
		return nil, BadValue(name, reasonUnixPath)
	}
	return &net.UnixAddr{Name: value, Net: network}, nil
}

const reasonUnixPath = "not the path of a Unix socket"

func isUnixPath(s string) bool {
	most := maxUnixPath - 1
	if strings.HasPrefix(s, "@") { // which is that NUL byte
		most = maxUnixPath
	}
	return s != "" && len(s) <= most && strings.IndexByte(s, 0) < 0
}

// Version is the version of the protocol that this package speaks.
const Version = 1

// SetVersion sets the parameter version to [Version].
func (m *Message) SetVersion() *Message { return m.SetInt(ParameterVersion, Version) }

// CheckVersion returns nil when the parameter version is [Version], else an [*Error] around [ErrMissing],
// [ErrValue] (no integer) or [ErrVersion].
func (m *Message) CheckVersion() error {
	version, err := GetInt[int64](m, ParameterVersion)
	if err != nil {
		return err
	}
	if version != Version {
		return &Error{
			Offset: -1, Field: fieldParameter, Name: ParameterVersion,
			Reason: fmt.Sprintf("version %d instead of %d", version, Version), Err: ErrVersion,
		}
	}
	return nil
}

// require returns the value of a parameter that has to be there.
func (m *Message) require(name string) (string, error) {
	value, found := m.Lookup(name)
	if !found {
		return "", &Error{Offset: -1, Field: fieldParameter, Name: name, Reason: reasonMissing, Err: ErrMissing}
	}
	return value, nil
}

// BadValue returns an [*Error] around [ErrValue], as a getter does, for a value that only a handler can judge:
//
//	return message.BadValue("count", "negative")
func BadValue(name, reason string) error {
	return &Error{Offset: -1, Field: fieldParameter, Name: name, Reason: reason, Err: ErrValue}
}
