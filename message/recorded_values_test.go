package message_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// valueCase is a call of one of the C++ library's small functions.
type valueCase struct {
	Kind   string
	Input  string
	Output json.RawMessage
	Error  string
}

func (c valueCase) name() string { return c.Kind + " " + c.Input }

func TestRecordedValues(t *testing.T) {
	for _, c := range readLines[valueCase](t, "values") {
		t.Run(c.name(), func(t *testing.T) {
			call := recordedCalls[c.Kind]
			if c.Kind == "add_parameter_addrmask" { // which this package only reads
				c.Input, c.Output = string(c.Output), json.RawMessage(strconv.Quote(c.Input))
			}
			if call == nil {
				t.Fatal("not a known kind")
			}
			recorded := result{err: errRecorded}
			if c.Error == "" {
				var text bytes.Buffer
				if err := json.Compact(&text, c.Output); err != nil {
					t.Fatal(err)
				}
				recorded = result{text: text.String()}
			}

			value, err := call(c.Input)
			got := result{err: err}
			if err == nil {
				text, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				got = result{text: string(text)}
			}
			compare(t, "values", c.name(), recorded, got)
		})
	}
}

// recordedCalls do what the C++ function of that name does.
var recordedCalls = map[string]func(input string) (output any, err error){
	"get_integer_parameter": func(input string) (any, error) {
		n, err := message.GetInt[int64](message.New("X").Set("v", input), "v")
		return strconv.FormatInt(n, 10), err
	},
	"get_timespec_parameter": func(input string) (any, error) {
		when, err := message.New("X").Set("v", input).GetTime("v")
		return struct {
			Seconds     int64 `json:"sec"`
			Nanoseconds int   `json:"nsec"`
		}{when.Unix(), when.Nanosecond()}, err
	},
	"add_parameter_i16": setInt,
	"add_parameter_i32": setInt,
	"add_parameter_i64": setInt,
	"add_parameter_u16": setUint,
	"add_parameter_u32": setUint,
	"add_parameter_u64": setUint,
	"add_parameter_addr": func(input string) (any, error) {
		m := message.New("X").SetAddrPort("v", netip.MustParseAddrPort(input))
		return m.Get("v"), m.Err()
	},
	"add_parameter_addrmask": func(output string) (any, error) {
		return message.New("X").Set("v", strings.Trim(output, `"`)).GetAddrPort("v")
	},
	"add_parameter_unix": func(input string) (any, error) {
		m := message.New("X").SetUnixAddr("v", &net.UnixAddr{Name: input, Net: "unix"})
		return m.Get("v"), m.Err()
	},
	"add_parameter_timespec": func(input string) (any, error) {
		var seconds, nanoseconds int64
		if _, err := fmt.Sscan(input, &seconds, &nanoseconds); err != nil {
			return nil, err
		}
		m := message.New("X").SetTime("v", time.Unix(seconds, nanoseconds))
		return m.Get("v"), m.Err()
	},
	"add_version_parameter": func(input string) (any, error) {
		text, err := message.New(input).SetVersion().MarshalText()
		return string(text), err
	},
	"check_version_parameter": func(input string) (any, error) {
		m, err := message.Parse(input)
		if err != nil {
			return nil, err
		}
		if err := m.CheckVersion(); !errors.Is(err, message.ErrVersion) {
			return true, err
		}
		return false, nil
	},
	"reply_to": func(input string) (any, error) {
		request, err := message.Parse(input)
		if err != nil {
			return nil, err
		}
		text, err := request.Reply("REPLY").MarshalText()
		return string(text), err
	},
	"json_cache_is_never_cleared": func(input string) (any, error) {
		steps := strings.Split(input, " ; ")
		m, err := message.Parse(steps[0])
		if err != nil {
			return nil, err
		}
		var written []string
		for _, step := range steps[1:] {
			var text []byte
			switch step {
			case "to_json":
				text, err = m.AppendJSON(nil, message.JSONOptions{Numbers: true})
			case "to_string":
				text, err = m.MarshalText()
			default:
				_, parameter, _ := strings.Cut(step, " ")
				name, value, _ := strings.Cut(parameter, "=")
				err = m.Set(name, value).Err()
			}
			if err != nil {
				return nil, err
			}
			if text != nil {
				written = append(written, string(text))
			}
		}
		return written, nil
	},
}

func setInt(input string) (any, error) {
	n, err := strconv.ParseInt(input, 10, 64)
	if err != nil {
		return nil, err
	}
	m := message.New("X").SetInt("v", n)
	return m.Get("v"), m.Err()
}

func setUint(input string) (any, error) {
	n, err := strconv.ParseUint(input, 10, 64)
	if err != nil {
		return nil, err
	}
	m := message.New("X").SetUint("v", n)
	return m.Get("v"), m.Err()
}
