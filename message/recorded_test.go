package message_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// The files of testdata hold what the C++ library reads, writes and refuses. Everything not listed in
// differences has to be the same here, byte for byte.

// differences are the recorded cases where this package differs on purpose.
var differences = []struct {
	reason string
	err    error // what this package answers; nil: other text
	cases  []string
}{
	{
		"parse: the C++ library lets any command through, and services die of it later",
		message.ErrName,
		[]string{
			"lowercase command accepted", "mixed command", "digits command", "weird command", "command with equal",
			"quote command", "unicode command", "nbsp trailing", "lone equal", "lone semicolon",
			"raw newline between", "tab separator", "bracket not json",
		},
	},
	{
		"parse: the C++ library checks no address",
		message.ErrName,
		[]string{
			"bad service name accepted", "sent from two colons", "sent from weird chars",
			"brace not first", "from_string of json",
		},
	},
	{
		"parse: a NUL byte cuts the message in the C++ library",
		message.ErrSyntax,
		[]string{"nul inside", "nul in value"},
	},
	{
		"write: white space at the end of the last value is lost by the C++ reader, so it is quoted",
		nil,
		[]string{
			"value trailing space", "value only spaces", "value number with space",
			"trailing space (last parameter)", "only spaces (last parameter)", "tab last (last parameter)",
		},
	},
	{
		"write: a NUL byte cuts the message in the C++ reader",
		message.ErrUnsendable,
		[]string{
			"value nul inside", "value nul and semicolon", "nul (last parameter)", "nul (first parameter)",
		},
	},
	{
		"write: the C++ reader rejects a quoted value that ends in a backslash",
		message.ErrUnsendable,
		[]string{
			"backslash last and semicolon (last parameter)", "backslash last and semicolon (first parameter)",
			"backslash last and quote first (last parameter)", "backslash last and quote first (first parameter)",
		},
	},
}

// bytestring is a JSON string, or {"hex":"..."} for what is not UTF-8.
type bytestring string

func (b *bytestring) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, (*string)(b))
	}
	var h struct{ Hex string }
	if err := json.Unmarshal(data, &h); err != nil {
		return err
	}
	raw, err := hex.DecodeString(h.Hex)
	*b = bytestring(raw)
	return err
}

// fields are the parts of a message as recorded; nil is a setter that was not called.
type fields struct {
	Server          *bytestring
	Service         *bytestring
	SentFromServer  *bytestring `json:"sent_from_server"`
	SentFromService *bytestring `json:"sent_from_service"`
	Command         *bytestring
	Parameters      [][2]bytestring
}

func fieldsOf(m *message.Message) fields {
	text := func(s string) *bytestring { return (*bytestring)(&s) }
	f := fields{
		Server:          text(m.Server()),
		Service:         text(m.Service()),
		SentFromServer:  text(m.SentFromServer()),
		SentFromService: text(m.SentFromService()),
		Command:         text(m.Command()),
		Parameters:      [][2]bytestring{},
	}
	for name, value := range m.Parameters() {
		f.Parameters = append(f.Parameters, [2]bytestring{bytestring(name), bytestring(value)})
	}
	return f
}

// build calls the setters in the order of the recording program.
func (f fields) build() *message.Message {
	var m *message.Message
	if f.Command == nil {
		m = new(message.Message)
	} else {
		m = message.New(string(*f.Command))
	}
	for _, set := range []struct {
		value *bytestring
		call  func(string) *message.Message
	}{
		{f.SentFromServer, m.SetSentFromServer},
		{f.SentFromService, m.SetSentFromService},
		{f.Server, m.SetServer},
		{f.Service, m.SetService},
	} {
		if set.value != nil {
			set.call(string(*set.value))
		}
	}
	for _, p := range f.Parameters {
		m.Set(string(p[0]), string(p[1]))
	}
	return m
}

// readLines decodes each line of a testdata file.
func readLines[T any](t *testing.T, name string) []T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for scanner := bufio.NewScanner(bytes.NewReader(data)); scanner.Scan(); {
		var one T
		if err := json.Unmarshal(scanner.Bytes(), &one); err != nil {
			t.Fatalf("%s: %v", scanner.Bytes(), err)
		}
		all = append(all, one)
	}
	return all
}

// difference returns the entry of differences for a case.
func difference(name string) (differs bool, err error) {
	for _, d := range differences {
		if slices.Contains(d.cases, name) {
			return true, d.err
		}
	}
	return false, nil
}

func TestRecordedDifferencesExist(t *testing.T) {
	type named struct{ Name string }
	recorded := map[string]bool{}
	for _, file := range []string{"parse.jsonl", "write.jsonl", "roundtrip.jsonl"} {
		for _, c := range readLines[named](t, file) {
			recorded[c.Name] = true
		}
	}
	for _, d := range differences {
		for _, name := range d.cases {
			if !recorded[name] {
				t.Errorf("%q is not a recorded case", name)
			}
		}
	}
}

func TestRecordedParse(t *testing.T) {
	type testCase struct {
		Name         string
		Input        bytestring
		Error        string
		Output       fields
		Reserialized bytestring
	}
	for _, tt := range readLines[testCase](t, "parse.jsonl") {
		t.Run(tt.Name, func(t *testing.T) {
			parser := message.Parser{Form: message.FormText}
			m, err := parser.Parse(string(tt.Input))
			if differs, want := difference(tt.Name); differs {
				if tt.Error != "" || !errors.Is(err, want) {
					t.Fatalf("got %v, recorded %q, want the difference %v", err, tt.Error, want)
				}
				return
			}
			if tt.Error != "" {
				if err == nil {
					t.Fatalf("got %v, want an error", fieldsOf(m))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.Output, fieldsOf(m)); diff != "" {
				t.Errorf("recorded (-), got (+):\n%s", diff)
			}
			text, err := m.MarshalText()
			if err != nil || string(text) != string(tt.Reserialized) {
				t.Errorf("written: %q, %v, want %q", text, err, tt.Reserialized)
			}
		})
	}
}

func TestRecordedWrite(t *testing.T) {
	type testCase struct {
		Name       string
		Input      fields
		Output     bytestring
		ErrorStage string `json:"error_stage"`
	}
	for _, tt := range readLines[testCase](t, "write.jsonl") {
		t.Run(tt.Name, func(t *testing.T) {
			m := tt.Input.build()
			text, err := m.MarshalText()
			if differs, want := difference(tt.Name); differs {
				if !errors.Is(err, want) || string(text) == string(tt.Output) {
					t.Fatalf("got %q, %v, want the difference %v", text, err, want)
				}
				return
			}
			if tt.ErrorStage != "" {
				if !errors.Is(err, message.ErrName) {
					t.Fatalf("got %q, %v, want ErrName", text, err)
				}
				return
			}
			if err != nil || string(text) != string(tt.Output) {
				t.Errorf("got %q, %v, want %q", text, err, tt.Output)
			}
		})
	}
}

func TestRecordedRoundTrip(t *testing.T) {
	type testCase struct {
		Name    string
		Input   bytestring
		Wire    bytestring
		Decoded bytestring
	}
	for _, tt := range readLines[testCase](t, "roundtrip.jsonl") {
		t.Run(tt.Name, func(t *testing.T) {
			m := message.New("CMD").Set("p", string(tt.Input))
			if bytes.Contains([]byte(tt.Wire), []byte(";z=1")) {
				m.Set("z", "1")
			}
			text, err := m.MarshalText()
			differs, want := difference(tt.Name)
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
			if differs == (string(text) == string(tt.Wire)) {
				t.Fatalf("got %q, recorded %q, difference %v", text, tt.Wire, differs)
			}
			if err != nil {
				return
			}
			back, err := message.Parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if got := back.Get("p"); got != string(tt.Input) {
				t.Errorf("%q came back as %q", tt.Input, got)
			}
		})
	}
}

func TestRecordedNames(t *testing.T) {
	type testCase struct {
		Name         bytestring
		CanBeEmpty   bool `json:"can_be_empty"`
		CanLowercase bool `json:"can_be_lowercase"`
		OK           bool
	}
	for _, tt := range readLines[testCase](t, "names.jsonl") {
		var m *message.Message
		switch {
		case !tt.CanLowercase && !tt.CanBeEmpty:
			m = message.New(string(tt.Name))
		case !tt.CanBeEmpty:
			m = message.New("CMD").Set(string(tt.Name), "")
		case tt.CanLowercase:
			m = message.New("CMD").SetSentFromService(string(tt.Name))
		default:
			continue // no field of a message is like that
		}
		if err := m.Err(); (err == nil) != tt.OK || err != nil && !errors.Is(err, message.ErrName) {
			t.Errorf("%+v: got %v", tt, err)
		}
	}
}
