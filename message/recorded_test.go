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

// difference is a reason to differ from the recordings on purpose, and the recorded cases that do, by file.
type difference struct {
	reason string
	err    error                        // what this package answers to cases
	cases  map[string][]string          // names
	ours   map[string]map[string]string // names, and the text that this package makes of them
}

var differences = []difference{
	{
		reason: "names are checked when a message is read; the C++ library checks few, and services die of them later",
		err:    message.ErrName,
		cases: map[string][]string{
			"parse_text": {
				"lowercase command accepted", "mixed command", "digits command", "weird command", "command with equal",
				"quote command", "unicode command", "nbsp trailing", "lone equal", "lone semicolon",
				"raw newline between", "tab separator", "bracket not json",
				"bad service name accepted", "sent from two colons", "sent from weird chars",
				"brace not first", "from_string of json",
			},
			"parse_json": {
				"no command", "empty command", "lowercase command", "bad param name accepted",
				"brace close", "array", "bom", "bad server chars accepted",
			},
			"values": {"reply_to <.:* PING", "reply_to <*:. PING"},
		},
	},
	{
		reason: "a NUL byte cuts the text in the C++ library: refused when read",
		err:    message.ErrSyntax,
		cases:  map[string][]string{"parse_text": {"nul inside", "nul in value"}},
	},
	{
		reason: "a NUL byte cuts the text in the C++ library: refused when written as text",
		err:    message.ErrUnsendable,
		cases: map[string][]string{
			"parse_json":     {"escape u0000"}, // is read, can't be written as text
			"write_text":     {"value nul inside", "value nul and semicolon"},
			"roundtrip_text": {"nul (last parameter)", "nul (first parameter)"},
		},
	},
	{
		reason: "white space at the end of the last value is lost by the C++ reader, so it is quoted",
		ours: map[string]map[string]string{
			"write_text": {
				"value trailing space":    `CMD v="x "`,
				"value only spaces":       `CMD v="   "`,
				"value number with space": `CMD v="42 "`,
			},
			"roundtrip_text": {
				"trailing space (last parameter)": `CMD p="x "`,
				"only spaces (last parameter)":    `CMD p="  "`,
				"tab last (last parameter)":       "CMD p=\"a\t\"",
			},
		},
	},
	{
		reason: "the C++ reader rejects a quoted value that ends in a backslash",
		err:    message.ErrUnsendable,
		cases: map[string][]string{"roundtrip_text": {
			"backslash last and semicolon (last parameter)", "backslash last and semicolon (first parameter)",
			"backslash last and quote first (last parameter)", "backslash last and quote first (first parameter)",
		}},
	},
	{
		reason: "what the C++ library writes is not always JSON",
		ours: map[string]map[string]string{
			"write_json": {
				// It forgets a quote and a comma after the service.
				"service":            `{"service":"beta","command":"PING"}`,
				"server and service": `{"server":"alpha","service":"beta","command":"PING"}`,
				"service . ":         `{"service":".","command":"LOG_ROTATE"}`,
				"service *":          `{"service":"*","command":"LOG_ROTATE"}`,
				"service ?":          `{"service":"?","command":"LOG_ROTATE"}`,
				"server * service *": `{"server":"*","service":"*","command":"LOG_ROTATE"}`,
				"server . service x": `{"server":".","service":"x","command":"LOG_ROTATE"}`,
				"server ? service x": `{"server":"?","service":"x","command":"LOG_ROTATE"}`,
				"everything": `{"sent-from-server":"srv","sent-from-service":"svc","server":"alpha",` +
					`"service":"beta","command":"PING","parameters":{"a":1,"b":"x;y"}}`,
				"cache parameter": `{"service":"fluid_settings","command":"FLUID_SETTINGS_GET",` +
					`"parameters":{"cache":"no;reply","name":"x"}}`,
				// It writes control characters as they are.
				"value tab":               `{"command":"CMD","parameters":{"v":"a\tb"}}`,
				"value control bytes":     "{\"command\":\"CMD\",\"parameters\":{\"v\":\"\\u0001\\u0002\\u001f\x7f\"}}",
				"value nul inside":        `{"command":"CMD","parameters":{"v":"a\u0000b"}}`,
				"value nul and semicolon": `{"command":"CMD","parameters":{"v":"a\u0000;b"}}`,
				// It takes for a number what JSON does not.
				"value leading zeros": `{"command":"CMD","parameters":{"v":"007"}}`,
				"value dot last":      `{"command":"CMD","parameters":{"v":"5."}}`,
				"value hex":           `{"command":"CMD","parameters":{"v":"0x1F"}}`,
				"value hex float":     `{"command":"CMD","parameters":{"v":"0x1p4"}}`,
				"value minus inf":     `{"command":"CMD","parameters":{"v":"-inf"}}`,
				"value plus nan":      `{"command":"CMD","parameters":{"v":"+nan"}}`,
			},
			"roundtrip_json": {
				"tab last (last parameter)":       `{"command":"CMD","parameters":{"p":"a\t"}}`,
				"tab last (first parameter)":      `{"command":"CMD","parameters":{"p":"a\t","z":1}}`,
				"control (last parameter)":        `{"command":"CMD","parameters":{"p":"\u0001\u0002"}}`,
				"control (first parameter)":       `{"command":"CMD","parameters":{"p":"\u0001\u0002","z":1}}`,
				"nul (last parameter)":            `{"command":"CMD","parameters":{"p":"a\u0000b"}}`,
				"nul (first parameter)":           `{"command":"CMD","parameters":{"p":"a\u0000b","z":1}}`,
				"leading zeros (last parameter)":  `{"command":"CMD","parameters":{"p":"007"}}`,
				"leading zeros (first parameter)": `{"command":"CMD","parameters":{"p":"007","z":1}}`,
				"dot last (last parameter)":       `{"command":"CMD","parameters":{"p":"5."}}`,
				"dot last (first parameter)":      `{"command":"CMD","parameters":{"p":"5.","z":1}}`,
				"hex (last parameter)":            `{"command":"CMD","parameters":{"p":"0x1F"}}`,
				"hex (first parameter)":           `{"command":"CMD","parameters":{"p":"0x1F","z":1}}`,
				"inf (last parameter)":            `{"command":"CMD","parameters":{"p":"-inf"}}`,
				"inf (first parameter)":           `{"command":"CMD","parameters":{"p":"-inf","z":1}}`,
			},
		},
	},
	{
		reason: "a value comes through JSON unchanged: a number keeps its digits, a plus sign stays, nothing is decoded twice",
		ours: map[string]map[string]string{
			"parse_json": {
				"value float":                            "A x=1.5",
				"value float many digits":                "A x=3.14159265358979",
				"value exp":                              "A x=1e3",
				"value exp small":                        "A x=1e-3",
				"value tiny":                             "A x=1e-9",
				"value big":                              "A x=1e30",
				"value int64 max":                        "A x=9223372036854775807",
				"value 2^53+1":                           "A x=9007199254740993",
				"value -0":                               "A x=-0",
				"value 0.0":                              "A x=0.0",
				"escape backslash n (double decode)":     `A x=a\\nb`,
				"escape backslash r (double decode)":     `A x=a\\rb`,
				"escape two backslashes (double decode)": `A x=a\\\\b`,
				"escape backslash quote (double decode)": `A x=a\\"b`,
			},
			"write_json": {
				"value plus":       `{"command":"CMD","parameters":{"v":"+42"}}`,
				"value plus float": `{"command":"CMD","parameters":{"v":"+0.25"}}`,
			},
			"roundtrip_json": {
				"plus number (last parameter)":  `{"command":"CMD","parameters":{"p":"+42"}}`,
				"plus number (first parameter)": `{"command":"CMD","parameters":{"p":"+42","z":1}}`,
			},
		},
	},
	{
		reason: "JSON can't carry what is not UTF-8; the C++ library writes it and can't read it back",
		err:    message.ErrUnsendable,
		cases: map[string][]string{
			"write_json": {"value latin1 bytes"},
			"roundtrip_json": {
				"invalid utf8 (last parameter)", "invalid utf8 (first parameter)",
				"latin1 quote first (last parameter)", "latin1 quote first (first parameter)",
			},
		},
	},
	{
		reason: "the C++ library keeps the first JSON it made of a message for ever",
		ours: map[string]map[string]string{"values": {
			"json_cache_is_never_cleared PING a=1 ; to_json ; add_parameter zz=1 ; to_json ; to_string": `["{\"command\":\"PING\",\"parameters\":{\"a\":1}}",` +
				`"{\"command\":\"PING\",\"parameters\":{\"a\":1,\"zz\":1}}","PING a=1;zz=1"]`,
			"json_cache_is_never_cleared beta/PING ; to_json ; add_parameter zz=1 ; to_json ; to_string": `["{\"service\":\"beta\",\"command\":\"PING\"}",` +
				`"{\"service\":\"beta\",\"command\":\"PING\",\"parameters\":{\"zz\":1}}","beta/PING zz=1"]`,
		}},
	},
	{
		reason: "seconds: -0.5 is refused, the C++ library reads half a second after 1970; so is what a time.Time can't hold",
		err:    message.ErrValue,
		cases: map[string][]string{"values": {
			"get_timespec_parameter -0.5", "get_timespec_parameter 9223372036854775807",
		}},
	},
}

// find returns the difference of a case, nil when there has to be none.
func find(file, name string) *difference {
	for i, d := range differences {
		if _, found := d.ours[file][name]; found || slices.Contains(d.cases[file], name) {
			return &differences[i]
		}
	}
	return nil
}

// result is what is made of a case: the fields that are read, if that is what the case is about, and a text, or an
// error instead of it.
type result struct {
	fields *fields
	text   string
	err    error
}

// errRecorded is the error of a result that the C++ library refused.
var errRecorded = errors.New("recorded as refused")

// compare complains about a result that is not as recorded without being a known difference, and about one that is.
func compare(t *testing.T, file, name string, recorded, got result) {
	t.Helper()
	diff := cmp.Diff(recorded.fields, got.fields) + cmp.Diff(recorded.text, got.text)
	same := (recorded.err != nil) == (got.err != nil) && (got.err != nil || diff == "")

	d := find(file, name)
	switch {
	case d == nil && !same:
		t.Errorf("%v, recorded %v; recorded (-), got (+):\n%s", got.err, recorded.err, diff)
	case d != nil && same:
		t.Errorf("as recorded, but listed as a difference: %s", d.reason)
	case d != nil && d.err != nil && !errors.Is(got.err, d.err):
		t.Errorf("%q, %v, want %v: %s", got.text, got.err, d.err, d.reason)
	case d != nil && d.err == nil && (got.err != nil || got.text != d.ours[file][name]):
		t.Errorf("%q, %v, want %q: %s", got.text, got.err, d.ours[file][name], d.reason)
	}
}

func TestRecordedDifferencesExist(t *testing.T) {
	recorded := map[[2]string]bool{}
	for _, file := range []string{"parse_text", "parse_json", "write_text", "write_json", "roundtrip_text", "roundtrip_json"} {
		for _, c := range readLines[struct{ Name string }](t, file) {
			recorded[[2]string{file, c.Name}] = true
		}
	}
	for _, c := range readLines[valueCase](t, "values") {
		recorded[[2]string{"values", c.name()}] = true
	}
	listed := map[[2]string]bool{}
	check := func(file, name string) {
		c := [2]string{file, name}
		if !recorded[c] || listed[c] {
			t.Errorf("%q: recorded %v, listed already %v", c, recorded[c], listed[c])
		}
		listed[c] = true
	}
	for _, d := range differences {
		for file, names := range d.cases {
			for _, name := range names {
				check(file, name)
			}
		}
		for file, names := range d.ours {
			for name := range names {
				check(file, name)
			}
		}
	}
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
	Parameters      pairs
}

func fieldsOf(m *message.Message) fields {
	var parameters pairs
	for name, value := range m.Parameters() {
		parameters = append(parameters, [2]bytestring{bytestring(name), bytestring(value)})
	}
	return fieldsOfAll(m.SentFromServer(), m.SentFromService(), m.Server(), m.Service(), m.Command(), parameters)
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
	data, err := os.ReadFile(filepath.Join("testdata", name+".jsonl"))
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
