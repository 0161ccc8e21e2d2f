package message_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// The readers of the C++ library, naive steps included, written down a second time for tests: what this package
// writes has to mean the same to both.

const cppSpace = " \t\n\v\f\r"

// cppRead reads the text form the way the C++ library does: it checks the names of parameters and no others.
func cppRead(text string) (f fields, ok bool) {
	text, _, _ = strings.Cut(text, "\x00")
	text = strings.Trim(text, cppSpace)
	var sentFromServer, sentFromService, server, service string

	if sender, found := strings.CutPrefix(text, "<"); found {
		sender, text, ok = strings.Cut(sender, " ")
		if !ok {
			return f, false
		}
		if sentFromServer, sentFromService, ok = strings.Cut(sender, ":"); !ok {
			return f, false
		}
	}

	command, text, _ := strings.Cut(text, " ")
	for {
		i := strings.IndexAny(command, ":/")
		if i < 0 {
			break
		}
		name, isServer := command[:i], command[i] == ':'
		if name == "" || service != "" || isServer && server != "" {
			return f, false
		}
		if isServer {
			server = name
		} else {
			service = name
		}
		command = command[i+1:]
	}
	if command == "" {
		return f, false
	}

	parameters, ok := cppReadParameters(text)
	return fieldsOfAll(sentFromServer, sentFromService, server, service, command, parameters), ok
}

func cppReadParameters(text string) (parameters pairs, ok bool) {
	for text != "" {
		name, rest, found := strings.Cut(text, "=")
		if !found || !isName(name) {
			return nil, false
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for end < len(rest) && (rest[end] != '"' || rest[end-1] == '\\') {
				end++
			}
			if end == len(rest) {
				return nil, false
			}
			value = strings.ReplaceAll(rest[1:end], `\"`, `"`)
			rest = rest[end+1:]
			if rest != "" && rest[0] != ';' {
				return nil, false
			}
			rest = strings.TrimPrefix(rest, ";")
		} else {
			value, rest, _ = strings.Cut(rest, ";")
		}
		parameters.put(name, strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(value))
		text = rest
	}
	return parameters, true
}

// isName is what the C++ library wants of the name of a parameter.
func isName(s string) bool {
	const letters = "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return s != "" && strings.Trim(s, letters+"0123456789") == "" && strings.Contains(letters, s[:1])
}

// cppReadJSON reads strings for all fields and parameters, which is what the zero JSONOptions write.
func cppReadJSON(text string) (f fields, ok bool) {
	var object struct {
		SentFromServer  string `json:"sent-from-server"`
		SentFromService string `json:"sent-from-service"`
		Server          string
		Service         string
		Command         string
		Parameters      map[string]string
	}
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return f, false
	}
	var parameters pairs
	for name, value := range object.Parameters { // the values are decoded twice
		parameters.put(name, strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(value))
	}
	return fieldsOfAll(object.SentFromServer, object.SentFromService, object.Server, object.Service,
		object.Command, parameters), true
}

// pairs are parameters as recorded.
type pairs [][2]bytestring

func (p *pairs) put(name, value string) {
	*p = slices.DeleteFunc(*p, func(pair [2]bytestring) bool { return string(pair[0]) == name })
	*p = append(*p, [2]bytestring{bytestring(name), bytestring(value)})
}

func fieldsOfAll(sentFromServer, sentFromService, server, service, command string, parameters pairs) fields {
	text := func(s string) *bytestring { return (*bytestring)(&s) }
	slices.SortFunc(parameters, func(a, b [2]bytestring) int { return strings.Compare(string(a[0]), string(b[0])) })
	return fields{
		SentFromServer:  text(sentFromServer),
		SentFromService: text(sentFromService),
		Server:          text(server),
		Service:         text(service),
		Command:         text(command),
		Parameters:      append(pairs{}, parameters...), // not nil
	}
}

// TestCPPReaders pins the readers above to recordings, so that no test rests on a reader that is wrong.
func TestCPPReaders(t *testing.T) {
	for _, c := range readLines[parseCase](t, "parse_text") {
		f, ok := cppRead(string(c.Input))
		if ok != (c.Error == "") {
			t.Errorf("%s: read %v, recorded %q", c.Name, ok, c.Error)
		} else if diff := cmp.Diff(c.Output, f); ok && diff != "" {
			t.Errorf("%s: recorded (-), got (+):\n%s", c.Name, diff)
		}
	}
	for _, c := range readLines[roundTripCase](t, "roundtrip_json") {
		if !strings.Contains(string(c.Wire), `"p":"`) || c.Rejected {
			continue // a number
		}
		f, ok := cppReadJSON(strings.Replace(string(c.Wire), `"z":1`, `"z":"1"`, 1))
		if !ok && json.Valid([]byte(c.Wire)) {
			t.Errorf("%s: not read", c.Name)
		}
		if ok && f.Parameters[0][1] != c.Decoded {
			t.Errorf("%s: got %q, recorded %q", c.Name, f.Parameters[0][1], c.Decoded)
		}
	}
}

// arriving returns what a reader can get of m: a server without a service is not written.
func arriving(m *message.Message) *message.Message {
	c := m.Clone()
	if c.Service() == "" {
		c.SetServer("")
	}
	return c
}
