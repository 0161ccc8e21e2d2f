package definition_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

// The files of testdata hold the definitions that the C++ library reads and refuses, and the messages that it finds right
// and wrong. Everything not listed in differences has to be the same here.

const (
	reasonAddress = "addresses are literal IP addresses with or without a port up to 65535: no names are looked up " +
		"(a check must not block), no short forms such as 12 or 1.5"
	reasonIgnored = "what the C++ library silently ignores is an error: sections without a key, keys outside sections, " +
		"lines that are neither, names that no parameter can have"
	reasonMissing = "a file that is missing, and a bad one read a second time, is an error; so is a command that is no command"
)

// errFile stands for any *definition.FileError.
var errFile = errors.New("something wrong with a file")

// differences are the recorded cases where this package differs on purpose: all pass in the C++ library.
var differences = []struct {
	reason string
	err    error // what this package answers
	cases  []string
}{
	{
		reasonAddress,
		message.ErrValue,
		[]string{
			"address none 12", "address required 12", "address empty 12", "address required+empty 12",
			"address none 1.5", "address required 1.5", "address empty 1.5", "address required+empty 1.5",
			"address localhost:80", "address 1.2.3.4:99999",
		},
	},
	{reasonIgnored, errFile, []string{"section_without_keys", "no_section", "nested", "colon"}},
	{reasonMissing, fs.ErrNotExist, []string{"not found (release build)"}},
	{reasonMissing, errFile, []string{"bad type second time (cached, no exception)"}},
	{reasonMissing, message.ErrName, []string{"lowercase command name"}},
}

// is is errors.Is with errFile.
func is(err, kind error) bool {
	if file := (*definition.FileError)(nil); errors.As(err, &file) {
		err = errors.Join(err, errFile)
	}
	return errors.Is(err, kind)
}

// agrees fails the test unless err is an error where the C++ library found one, or a listed difference. It returns
// whether the results, if any, are to be compared.
func agrees(t *testing.T, name string, recorded bool, err error) bool {
	t.Helper()
	for _, d := range differences {
		if slices.Contains(d.cases, name) {
			if recorded || !is(err, d.err) {
				t.Errorf("got %v, recorded an error: %v, want %v, for %s", err, recorded, d.err, d.reason)
			}
			return false
		}
	}
	if recorded != (err != nil) {
		t.Errorf("got %v, recorded an error: %v", err, recorded)
		return false
	}
	return !recorded
}

// parameter is a definition as recorded.
type parameter struct {
	Name  string
	Type  string
	Flags []string
}

func (p parameter) definition(t *testing.T) definition.Parameter {
	t.Helper()
	types := []definition.Type{definition.String, definition.Integer, definition.Address, definition.Timespec}
	i := slices.IndexFunc(types, func(one definition.Type) bool { return one.String() == p.Type })
	if i < 0 {
		t.Fatalf("recorded type %q", p.Type)
	}
	return definition.Parameter{
		Name:      p.Name,
		Type:      types[i],
		Required:  slices.Contains(p.Flags, "required"),
		Empty:     slices.Contains(p.Flags, "empty"),
		Forbidden: slices.Contains(p.Flags, "forbidden"),
	}
}

func definitionsOf(t *testing.T, all []parameter) []definition.Parameter {
	t.Helper()
	var converted []definition.Parameter
	for _, p := range all {
		converted = append(converted, p.definition(t))
	}
	return converted
}

// withoutDescriptions returns the parameters without what is for people.
func withoutDescriptions(d *definition.Definition) []definition.Parameter {
	all := slices.Clone(d.Parameters)
	for i := range all {
		all[i].Description = ""
	}
	return all
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

func TestRecordedDifferencesExist(t *testing.T) {
	type named struct{ Name string }
	recorded := map[string]int{}
	for _, file := range []string{"definitions.jsonl", "checks.jsonl"} {
		for _, c := range readLines[named](t, file) {
			recorded[c.Name]++
		}
	}
	for _, d := range differences {
		for _, name := range d.cases {
			if recorded[name] != 1 {
				t.Errorf("%q is recorded %d times", name, recorded[name])
			}
		}
	}
}

type recordedDefinition struct {
	Name  string
	Input struct {
		Paths   string // folders, $DEFS/... or DEFINITIONS, the shipped ones
		Command string
		File    *string // nil: it is not told, or there is none
	}
	Output []parameter
	Error  string
}

const shipped = "DEFINITIONS"

// TestRecordedDefinitions looks each command up in folders like those of the recording.
func TestRecordedDefinitions(t *testing.T) {
	cases := readLines[recordedDefinition](t, "definitions.jsonl")
	root := t.TempDir()
	folders := strings.NewReplacer("$DEFS", root, shipped, filepath.Join(root, "shipped"))
	for _, c := range cases {
		if c.Input.File != nil {
			first, _, _ := strings.Cut(folders.Replace(c.Input.Paths), ":")
			writeFile(t, filepath.Join(first, c.Input.Command+".conf"), *c.Input.File)
		}
	}
	writeFile(t, filepath.Join(root, "d2", "ONLY2.conf"), "[x]\nflags=optional\n")

	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			var d *definition.Definition
			file, err := definition.Find(folders.Replace(c.Input.Paths), c.Input.Command)
			if err == nil {
				d, err = definition.ReadFile(file)
			}
			if !agrees(t, c.Name, c.Error != "", err) {
				return
			}
			if d.Command != c.Input.Command || d.Closed {
				t.Errorf("got %+v", d)
			}
			if diff := cmp.Diff(definitionsOf(t, c.Output), withoutDescriptions(d)); diff != "" {
				t.Errorf("recorded (-), got (+):\n%s", diff)
			}
		})
	}
}

// TestBuiltInDefinitions: those of the C++ library, with one parameter more, and two commands that it has no file for.
func TestBuiltInDefinitions(t *testing.T) {
	set := load(t, definition.Config{})
	want := map[string][]definition.Parameter{
		message.CommandRegister: {
			{Name: message.ParameterService, Required: true},
			{Name: message.ParameterVersion, Type: definition.Integer, Required: true},
		},
		message.CommandUnregister: {{Name: message.ParameterService, Required: true}},
	}
	for _, c := range readLines[recordedDefinition](t, "definitions.jsonl") {
		if c.Input.Paths == shipped {
			want[c.Input.Command] = definitionsOf(t, c.Output)
		}
	}
	if want[message.CommandRestart] != nil {
		t.Errorf("recorded: RESTART has the parameters %v", want[message.CommandRestart])
	}
	want[message.CommandRestart] = []definition.Parameter{{Name: message.ParameterReason}}

	got := map[string][]definition.Parameter{}
	for _, command := range set.Commands() {
		d, found := set.Lookup(command)
		if !found || d.Command != command || d.Closed {
			t.Errorf("%s: got %+v, %v", command, d, found)
		}
		for _, p := range d.Parameters {
			if p.Description == "" {
				t.Errorf("%s: nobody says what %s is", command, p.Name)
			}
		}
		got[command] = withoutDescriptions(d)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), built in (+):\n%s", diff)
	}
}

func TestRecordedChecks(t *testing.T) {
	type testCase struct {
		Name  string
		Input struct {
			Definitions []parameter
			Parameters  [][2]string
		}
		Output bool
	}
	for _, c := range readLines[testCase](t, "checks.jsonl") {
		t.Run(c.Name, func(t *testing.T) {
			d := &definition.Definition{Command: "CHK", Parameters: definitionsOf(t, c.Input.Definitions)}
			m := message.New("CHK")
			for _, p := range c.Input.Parameters {
				m.Set(p[0], p[1])
			}
			agrees(t, c.Name, !c.Output, d.Check(m))
		})
	}
}
