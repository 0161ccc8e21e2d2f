package message_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// parseCase is a text that the C++ library read or refused, and what it wrote of what it had read.
type parseCase struct {
	Kind             string
	Name             string
	Input            bytestring
	Error            string
	Output           fields
	Reserialized     bytestring
	ReserializedJSON bytestring `json:"reserialized_json"`
}

var formOfKind = map[string]message.Form{
	"from_message": message.FormAuto,
	"from_string":  message.FormText,
	"from_json":    message.FormJSON,
}

func (c parseCase) recorded() result {
	if c.Error != "" {
		return result{err: errRecorded}
	}
	return result{fields: &c.Output, text: string(c.Reserialized)}
}

func (c parseCase) parse(p message.Parser) (*message.Message, result) {
	p.Form = formOfKind[c.Kind]
	m, err := p.Parse(string(c.Input))
	if err != nil {
		return nil, result{err: err}
	}
	f := fieldsOf(m)
	text, err := m.MarshalText()
	return m, result{fields: &f, text: string(text), err: err}
}

func TestRecordedParse(t *testing.T) {
	for _, file := range []string{"parse_text", "parse_json"} {
		for _, c := range readLines[parseCase](t, file) {
			t.Run(file+"/"+c.Name, func(t *testing.T) {
				m, got := c.parse(message.Parser{})
				compare(t, file, c.Name, c.recorded(), got)

				recorded := []byte(c.ReserializedJSON)
				if find(file, c.Name) != nil || !json.Valid(recorded) || !utf8.Valid(recorded) {
					return
				}
				ours, err := m.AppendJSON(nil, message.JSONOptions{Numbers: true})
				if err != nil || string(ours) != string(recorded) {
					t.Errorf("as JSON: %s, %v, recorded %s", ours, err, recorded)
				}
			})
		}
	}
}

// TestRecordedParseLenient: what the C++ library accepts is accepted, whatever its names.
func TestRecordedParseLenient(t *testing.T) {
	for _, file := range []string{"parse_text", "parse_json"} {
		for _, c := range readLines[parseCase](t, file) {
			t.Run(file+"/"+c.Name, func(t *testing.T) {
				m, got := c.parse(message.Parser{Lenient: true})
				d := find(file, c.Name)
				switch {
				case c.Error != "" || d != nil && !errors.Is(d.err, message.ErrName):
					compare(t, file, c.Name, c.recorded(), got) // Lenient is about names only
				case *c.Output.Command == "":
					if !errors.Is(got.err, message.ErrName) {
						t.Errorf("without a command: %v, want ErrName", got.err)
					}
				case m == nil:
					t.Errorf("recorded as accepted, got %v", got.err)
				default:
					if diff := cmp.Diff(c.Output, *got.fields); diff != "" {
						t.Errorf("recorded (-), got (+):\n%s", diff)
					}
					checkLooseText(t, c, m, got)
				}
			})
		}
	}
}

// checkLooseText wants the recorded text where the C++ library could read it back from a stream of lines, and else one
// that can be read back, or none.
func checkLooseText(t *testing.T, c parseCase, m *message.Message, got result) {
	t.Helper()
	again, ok := cppRead(string(c.Reserialized))
	if ok && !strings.Contains(string(c.Reserialized), "\n") && cmp.Equal(again, fieldsOf(arriving(m))) {
		if got.err != nil || got.text != string(c.Reserialized) {
			t.Errorf("written %q, %v, recorded %q", got.text, got.err, c.Reserialized)
		}
		return
	}
	if got.err == nil {
		lenient := message.Parser{Lenient: true}
		if back, err := lenient.Parse(got.text); err != nil || !back.Equal(arriving(m)) {
			t.Errorf("%q is read as %v, %v", got.text, back, err)
		}
	} else if !errors.Is(got.err, message.ErrUnsendable) {
		t.Errorf("written %q, %v, want ErrUnsendable", got.text, got.err)
	}
}

// writeCase is a message that the C++ library wrote or refused, at a setter or at the end.
type writeCase struct {
	Name       string
	Input      fields
	Output     bytestring
	ErrorStage string `json:"error_stage"`
}

func (c writeCase) recorded() result {
	if c.ErrorStage != "" {
		return result{err: errRecorded}
	}
	return result{text: string(c.Output)}
}

func TestRecordedWriteText(t *testing.T) {
	for _, c := range readLines[writeCase](t, "write_text") {
		t.Run(c.Name, func(t *testing.T) {
			text, err := c.Input.build().MarshalText()
			compare(t, "write_text", c.Name, c.recorded(), result{text: string(text), err: err})
			if c.ErrorStage != "" && !errors.Is(err, message.ErrName) {
				t.Errorf("got %v, want ErrName", err)
			}
		})
	}
}

// roundTripCase is a value, as the parameter p with or without a z after it, that the C++ library wrote and read back.
type roundTripCase struct {
	Name     string
	Input    bytestring
	Wire     bytestring
	Decoded  bytestring
	Rejected bool // by the reader
}

func (c roundTripCase) build() *message.Message {
	m := message.New("CMD").Set("p", string(c.Input))
	if strings.Contains(c.Name, "first parameter") {
		m.Set("z", "1")
	}
	return m
}

func TestRecordedRoundTripText(t *testing.T) {
	for _, c := range readLines[roundTripCase](t, "roundtrip_text") {
		t.Run(c.Name, func(t *testing.T) {
			m := c.build()
			text, err := m.MarshalText()
			compare(t, "roundtrip_text", c.Name, result{text: string(c.Wire)}, result{text: string(text), err: err})
			if err != nil {
				return
			}
			if back, err := message.Parse(string(text)); err != nil || !back.Equal(m) {
				t.Errorf("%s came back as %v, %v", text, back, err)
			}
			if f, ok := cppRead(string(text)); !ok || !cmp.Equal(f, fieldsOf(m)) {
				t.Errorf("%s comes to the C++ library as %v, %v", text, f, ok)
			}
		})
	}
}

func TestRecordedNames(t *testing.T) {
	type nameCase struct {
		Name         bytestring
		CanBeEmpty   bool `json:"can_be_empty"`
		CanLowercase bool `json:"can_be_lowercase"`
		OK           bool
	}
	for _, c := range readLines[nameCase](t, "names") {
		name := string(c.Name)
		var all []*message.Message
		switch {
		case !c.CanLowercase && !c.CanBeEmpty:
			all = append(all, message.New(name))
		case !c.CanBeEmpty:
			all = append(all, message.New("CMD").Set(name, ""))
		case c.CanLowercase:
			all = append(all, message.New("CMD").SetSentFromServer(name), message.New("CMD").SetSentFromService(name))
			if !strings.Contains(".*?", name) { // which a destination may be
				all = append(all, message.New("CMD").SetServer(name), message.New("CMD").SetService(name))
			}
		default:
			continue // no field of a message is like that
		}
		for _, m := range all {
			if err := m.Err(); (err == nil) != c.OK || err != nil && !errors.Is(err, message.ErrName) {
				t.Errorf("%+v: got %v", c, err)
			}
		}
	}
}

// TestRecordedWire: what the programs of the C++ library sent over TCP, TLS, UDP and Unix sockets.
func TestRecordedWire(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "wire.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		m, err := message.Parse(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if text, err := m.MarshalText(); err != nil || string(text)+"\n" != line {
			t.Errorf("%s is written as %s, %v", line, text, err)
		}
	}
}
