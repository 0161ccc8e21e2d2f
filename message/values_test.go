package message_test

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// getters are all that read a typed value from the parameter v.
var getters = map[string]func(m *message.Message) (any, error){
	"GetInt":      func(m *message.Message) (any, error) { return message.GetInt[int](m, "v") },
	"GetBool":     func(m *message.Message) (any, error) { return m.GetBool("v") },
	"GetBytes":    func(m *message.Message) (any, error) { return m.GetBytes("v") },
	"GetTime":     func(m *message.Message) (any, error) { return m.GetTime("v") },
	"GetDuration": func(m *message.Message) (any, error) { return m.GetDuration("v") },
	"GetAddrPort": func(m *message.Message) (any, error) { return m.GetAddrPort("v") },
	"GetUnixAddr": func(m *message.Message) (any, error) { return m.GetUnixAddr("v", "unix") },
}

// wantBad complains unless err says that the parameter v is bad, without its value.
func wantBad(t *testing.T, value string, err error) {
	t.Helper()
	checkError(t, value, err, message.Error{Offset: -1, Field: "parameter", Name: "v", Err: message.ErrValue})
}

func TestMissingAndBadValues(t *testing.T) {
	const secret = "hush\x00-hush" // nothing takes this for a value
	for name, get := range getters {
		t.Run(name, func(t *testing.T) {
			_, err := get(message.New("CMD").Set("w", "1"))
			checkError(t, name, err, message.Error{
				Offset: -1, Field: "parameter", Name: "v", Reason: "missing", Err: message.ErrMissing,
			})
			_, err = get(message.New("CMD").Set("v", secret))
			wantBad(t, secret, err)
			if text := err.Error(); strings.Contains(text, "hush") || !strings.Contains(text, `parameter "v"`) {
				t.Errorf("got %q", text)
			}
			if _, err := get(message.New("CMD").Set("v", "")); (err == nil) != (name == "GetBytes") {
				t.Errorf("empty: %v", err) // no bytes are bytes too
			} else if err != nil {
				wantBad(t, "", err)
			}
		})
	}
}

type port uint16

func integer[T message.Integer](m *message.Message) (string, error) {
	n, err := message.GetInt[T](m, "v")
	return fmt.Sprint(n), err
}

var integerTypes = []struct {
	name string
	get  func(m *message.Message) (string, error)
	min  int64
	max  uint64
}{
	{"int8", integer[int8], math.MinInt8, math.MaxInt8},
	{"int16", integer[int16], math.MinInt16, math.MaxInt16},
	{"int32", integer[int32], math.MinInt32, math.MaxInt32},
	{"int64", integer[int64], math.MinInt64, math.MaxInt64},
	{"int", integer[int], math.MinInt, math.MaxInt},
	{"uint8", integer[uint8], 0, math.MaxUint8},
	{"uint16", integer[uint16], 0, math.MaxUint16},
	{"uint32", integer[uint32], 0, math.MaxUint32},
	{"uint64", integer[uint64], 0, math.MaxUint64},
	{"uint", integer[uint], 0, math.MaxUint},
	{"uintptr", integer[uintptr], 0, uint64(^uintptr(0))},
	{"a named type", integer[port], 0, math.MaxUint16},
}

func TestGetIntRanges(t *testing.T) {
	// The powers of two and what is near them: the bounds of all types, and what could wrap around into them.
	var numbers []*big.Int
	for _, bit := range []uint{0, 1, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 62, 63, 64, 65, 96, 127, 128, 129} {
		power := new(big.Int).Lsh(big.NewInt(1), bit)
		for near := int64(-1); near <= 1; near++ {
			n := new(big.Int).Add(power, big.NewInt(near))
			numbers = append(numbers, n, new(big.Int).Neg(n))
		}
	}
	bases := map[string]int{"": 10, "0": 10, "0d": 10, "0D": 10, "0b": 2, "0B": 2, "0o": 8, "0O": 8, "0x": 16, "0X": 16}

	for _, tt := range integerTypes {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range numbers {
				fits := n.Cmp(big.NewInt(tt.min)) >= 0 && n.Cmp(new(big.Int).SetUint64(tt.max)) <= 0
				for prefix, base := range bases {
					value := prefix + new(big.Int).Abs(n).Text(base)
					if n.Sign() < 0 {
						value = "-" + value
					}
					got, err := tt.get(message.New("CMD").Set("v", value))
					if !fits {
						wantBad(t, value, err)
					} else if err != nil || got != n.String() {
						t.Errorf("%s: got %s, %v", value, got, err)
					}
				}
			}
		})
	}
}

func TestGetIntSyntax(t *testing.T) {
	zeros := strings.Repeat("0", 1000)
	for value, want := range map[string]string{
		"0": "0", "-0": "0", "+0": "0", "+7": "7", "007": "7", zeros + "1": "1", "0x" + zeros + "1f": "31", "0X7f": "127", "0xF": "15",
		"00": "0", "0d08": "8", "-0x0": "0", "+0b1": "1",
	} {
		for _, tt := range integerTypes {
			if got, err := tt.get(message.New("CMD").Set("v", value)); err != nil || got != want {
				t.Errorf("%s: %s: got %s, %v, want %s", tt.name, value, got, err, want)
			}
		}
	}
	for _, value := range []string{
		"", " ", "1 ", " 1", "\t1", "1\n", "+", "-", "--1", "+-1", "-+1", "0x", "-0x", "0b", "0b2", "0o8", "0d", "0dA", "0xg", "x1",
		"0x-1", "0x+1", "0x 1", "0x0x1", "1_000", "0x_1", "0_1", "1,000", "1.0", "1e3", "1a", "inf", "nan", "true", "١", "１", "1\x00",
		"0h1", "0dd1",
	} {
		for _, tt := range integerTypes {
			_, err := tt.get(message.New("CMD").Set("v", value))
			wantBad(t, value, err)
		}
	}
}

func TestIntegersComeBack(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		n := random.Uint64() >> random.IntN(64) // of any length
		m := message.New("CMD").SetUint("u", n).SetInt("i", int64(n))
		back, err := message.Parse(m.String())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := message.GetInt[uint64](back, "u"); err != nil || got != n {
			t.Errorf("%d came back as %d, %v", n, got, err)
		}
		if got, err := message.GetInt[int64](back, "i"); err != nil || got != int64(n) {
			t.Errorf("%d came back as %d, %v", int64(n), got, err)
		}
	}
}

func TestBooleans(t *testing.T) {
	for value, want := range map[string]bool{
		"true": true, "on": true, "yes": true, "1": true, "false": false, "off": false, "no": false, "0": false,
	} {
		if got, err := message.New("CMD").Set("v", value).GetBool("v"); err != nil || got != want {
			t.Errorf("%s: got %v, %v", value, got, err)
		}
	}
	for _, value := range []string{"", "TRUE", "True", " true", "yes ", "y", "t", "2", "-1", "01", "null"} {
		_, err := message.New("CMD").Set("v", value).GetBool("v")
		wantBad(t, value, err)
	}
	for _, want := range []bool{true, false} {
		if got, err := message.New("CMD").SetBool("v", want).GetBool("v"); err != nil || got != want {
			t.Errorf("%v came back as %v, %v", want, got, err)
		}
	}
}

func TestBytes(t *testing.T) {
	for _, want := range [][]byte{
		nil, {}, {0}, []byte("a"), []byte("ab"), []byte("abc"), []byte("\x00\xff\xfe;\"\\\r\n"), bytes.Repeat([]byte{0xfb}, 1000),
	} {
		m := message.New("CMD").SetBytes("v", want)
		for _, write := range []func() ([]byte, error){m.MarshalText, m.MarshalJSON} {
			text, err := write()
			if err != nil {
				t.Fatal(err)
			}
			back, err := message.Parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := back.GetBytes("v"); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%q came back as %q, %v", want, got, err)
			}
		}
	}
	for _, value := range []string{
		"a", "ab", "YQ", "YQ=", "YQ===", "YR==", "Y Q=", " YQ==", "YQ==\n", "Y\nQ==", "Y\r\nQ==", "YQ==YQ==", "-_8=", "Y*==", "=",
	} {
		_, err := message.New("CMD").Set("v", value).GetBytes("v")
		wantBad(t, value, err)
	}
}

func TestVersion(t *testing.T) {
	if got := message.New("CMD").SetVersion().String(); got != "CMD version=1" {
		t.Errorf("got %q", got)
	}
	for value, want := range map[string]error{
		"1": nil, "0x1": nil, "+01": nil,
		"0": message.ErrVersion, "2": message.ErrVersion, "-1": message.ErrVersion, "0x7fffffffffffffff": message.ErrVersion,
		"": message.ErrValue, "1.0": message.ErrValue, "one": message.ErrValue, "0x8000000000000000": message.ErrValue,
	} {
		err := message.New("CMD").Set("version", value).CheckVersion()
		if want == nil {
			if err != nil {
				t.Errorf("%s: %v", value, err)
			}
			continue
		}
		checkError(t, value, err, message.Error{Offset: -1, Field: "parameter", Name: "version", Err: want})
	}
	checkError(t, "none", message.New("CMD").CheckVersion(), message.Error{
		Offset: -1, Field: "parameter", Name: "version", Err: message.ErrMissing,
	})
}
