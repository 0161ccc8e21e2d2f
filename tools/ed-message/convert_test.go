package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const (
	// every part of a message, in both forms
	fullText = `<web1:frontend db1:store/FETCH_USER fields="name;mail";id=42`
	fullJSON = `{"sent-from-server":"web1","sent-from-service":"frontend","server":"db1","service":"store",` +
		`"command":"FETCH_USER","parameters":{"fields":"name;mail","id":"42"}}`

	notCommand = "not a command: capital letters, digits and underscores, no digit first\n"
)

func TestConvert(t *testing.T) {
	for _, tt := range []struct {
		args          string
		stdin, stdout string
	}{
		{"", "", ""},
		{"", fullText + "\n", fullJSON + "\n"},
		{"", fullJSON + "\n", fullText + "\n"},
		{"", fullText + "\n" + fullJSON + "\n" + fullText + "\n", fullJSON + "\n" + fullText + "\n" + fullJSON + "\n"},
		{"", "PING", `{"command":"PING"}` + "\n"},                                     // no end of the line
		{"", "PING\r\nSTOP\r\n", `{"command":"PING"}` + "\n{\"command\":\"STOP\"}\n"}, // CR LF
		{"", " \t\v\f\r{\"command\":\"PING\"} \r\n", "PING\n"},                        // white space around JSON

		{"--to json", fullText + "\n" + fullJSON + "\n", fullJSON + "\n" + fullJSON + "\n"},
		{"--to text", fullText + "\n" + fullJSON + "\n", fullText + "\n" + fullText + "\n"},
		{"--to text", `PING b="x";a=1;a=2;` + "\n", "PING a=2;b=x\n"}, // its spelling
		{"--to json", `{ "command" : "PING", "parameters" : { "b" : 1.50, "a" : null } }`, `{"command":"PING","parameters":{"a":"","b":"1.50"}}` + "\n"},
		{"--from text", fullText + "\n", fullJSON + "\n"},
		{"--from json", fullJSON + "\n", fullText + "\n"},
		{"--from text --to text", fullText + "\n", fullText + "\n"},
		{"--from json --to json", fullJSON + "\n", fullJSON + "\n"},
		{"--from auto --to json", fullJSON + "\n", fullJSON + "\n"},

		// Lines without a message.
		{"", "\n", "\n"},
		{"", "\n\r\n \t\v\f \nPING\n\n", "\n\n\n{\"command\":\"PING\"}\n\n"},
		{"", "PING\n ", "{\"command\":\"PING\"}\n\n"},
		{"--from json", "\n{\"command\":\"PING\"}\n", "\nPING\n"},
		{"--check", "\nPING\n\n", ""},

		// What text needs to escape, and what JSON does.
		{"", `PING a=\n\r\\;b="\";` + "\x01\té\u2028\"\n", `{"command":"PING","parameters":{"a":"\n\r\\","b":"\";\u0001\té` + "\u2028\"}}\n"},
		{"", `{"command":"PING","parameters":{"a":"\n\r\\","b":"\";\u0001\té` + "\u2028\"}}\n", `PING a=\n\r\\;b="\";` + "\x01\té\u2028\"\n"},
		{"", `PING a=<&>/` + "\n", `{"command":"PING","parameters":{"a":"<&>/"}}` + "\n"},

		// What is lost.
		{"--to json", `{"server":"db1","command":"PING","unheard":"x","parameters":{"a":1,"a":2}}` + "\n", `{"command":"PING","parameters":{"a":"2"}}` + "\n"},

		// Numbers.
		{"", "PING a=1;b=true;c=-0.5e+3\n", `{"command":"PING","parameters":{"a":"1","b":"true","c":"-0.5e+3"}}` + "\n"},
		{"--numbers", "PING a=1;b=true;c=-0.5e+3;d=false\n", `{"command":"PING","parameters":{"a":1,"b":true,"c":-0.5e+3,"d":false}}` + "\n"},
		{"--numbers", "PING a=01;b=True;c=1e999;d=;e=null;f=+1;g=.5;h=NaN\n",
			`{"command":"PING","parameters":{"a":"01","b":"True","c":"1e999","d":"","e":"null","f":"+1","g":".5","h":"NaN"}}` + "\n"},
		{"--numbers --to text", "PING a=1\n", "PING a=1\n"},

		// Names.
		{"--lenient", "<a-b:c.d e-f:g.h/ping a=1\n", `{"sent-from-server":"a-b","sent-from-service":"c.d","server":"e-f","service":"g.h","command":"ping","parameters":{"a":"1"}}` + "\n"},
		{"--lenient", `{"command":"ping"}` + "\n", "ping\n"},
		{"--lenient --to json", `{"command":"a b","parameters":{"c d":1}}` + "\n", `{"command":"a b","parameters":{"c d":"1"}}` + "\n"},
		{"--lenient --from text", "{PING a=1\n", `{"command":"{PING","parameters":{"a":"1"}}` + "\n"},

		{"--check", "PING\n" + fullJSON + "\n", ""},
		{"--check --to text", "PING\n" + fullJSON, ""},
		{"--check", `{"command":"PING","parameters":{"a":"\u0000"}}` + "\n", ""}, // good to read
	} {
		check(t, strings.Fields(tt.args), tt.stdin, 0, tt.stdout, "")
	}
}

func TestBadLines(t *testing.T) {
	const ping = `{"command":"PING"}` + "\n"
	for _, tt := range []struct {
		args                  string
		stdin, stdout, stderr string
	}{
		{"", "PING\nping\nSTOP\n", ping, `<stdin>:2: command "ping" at byte 0: ` + notCommand},
		{"--keep-going", "ping\nPING\n\nstop", "\n" + ping + "\n\n",
			`<stdin>:1: command "ping" at byte 0: ` + notCommand + `<stdin>:4: command "stop" at byte 0: ` + notCommand},
		{"-", "ping", "", `<stdin>:1: command "ping" at byte 0: ` + notCommand},
		{"", "PING a=1;b\n", "", "<stdin>:1: at byte 9: a parameter without an equal sign\n"},
		{"", "PING a=\x00\n", "", "<stdin>:1: at byte 7: a NUL byte\n"},
		{"", "\x00\n", "", "<stdin>:1: at byte 0: a NUL byte\n"},
		{"", "{\"command\":\"PING\"\n", "", "<stdin>:1: at byte 17: no comma or brace after a value\n"},
		{"--keep-going", "{\n\"command\": \"PING\"\n}\n", "\n\n\n", "" + // JSON over several lines
			"<stdin>:1: at byte 1: a string expected\n" +
			`<stdin>:2: server "\"command\"" at byte 0: …` + "\n" +
			`<stdin>:3: command "}" at byte 0: …` + "\n"},

		// The form that it should have.
		{"--from json", "PING\n", "", "<stdin>:1: at byte 0: not a JSON object\n"},
		{"--from json", "  PING\n", "", "<stdin>:1: at byte 2: not a JSON object\n"},
		{"--from text", "PING\n" + `{"command":"PING"}` + "\n", ping, `<stdin>:2: server "{\"command\"" at byte 0: …` + "\n"},

		// What was read but can't be written.
		{"", "PING a=\xff\nPING\n", "", `<stdin>:1: parameter "a": JSON can't hold what is not UTF-8` + "\n"},
		{"--keep-going", "PING a=\xff\nPING\n", "\n" + ping, `<stdin>:1: parameter "a": JSON can't hold what is not UTF-8` + "\n"},
		{"--lenient", "\xff\n", "", "<stdin>:1: command \"\\xff\": JSON can't hold what is not UTF-8\n"},
		{"", `{"command":"PING","parameters":{"a":"\u0000"}}` + "\n", "", `<stdin>:1: parameter "a": a NUL byte in the value` + "\n"},
		{"", `{"command":"PING","parameters":{"a":";\\"}}` + "\n", "", `<stdin>:1: parameter "a": a value that needs quotes can't end with a backslash` + "\n"},
		{"--lenient", `{"command":"a b"}` + "\n", "", "<stdin>:1: names that the text form can't carry\n"},

		{"--check", "PING\nping\nstop\n", "", `<stdin>:2: command "ping" at byte 0: ` + notCommand},
		{"--check --keep-going", "PING\nping\nstop\n", "",
			`<stdin>:2: command "ping" at byte 0: ` + notCommand + `<stdin>:3: command "stop" at byte 0: ` + notCommand},
		{"--check --to json", "PING a=\xff\n", "", `<stdin>:1: parameter "a": JSON can't hold what is not UTF-8` + "\n"},
		{"--check --to text", `{"command":"PING","parameters":{"a":"\u0000"}}` + "\n", "", `<stdin>:1: parameter "a": a NUL byte in the value` + "\n"},
	} {
		check(t, strings.Fields(tt.args), tt.stdin, 1, tt.stdout, tt.stderr)
	}
}

// longText returns a text message of this many bytes.
func longText(bytes int) string {
	const begin = "PING a="
	return begin + strings.Repeat("x", bytes-len(begin))
}

func TestLongLines(t *testing.T) {
	const limit = message.DefaultMaxSize
	const tooLong = "<stdin>:2: at byte 1048576: longer than 1048576 bytes\n"
	longest := longText(limit) + "\n"
	for _, end := range []string{"\n", "\r\n", ""} {
		status, stdout, stderr := runHere(strings.NewReader("PING\n"+longText(limit)+end), "--to", "text")
		if status != 0 || stdout != "PING\n"+longest || stderr != "" {
			t.Errorf("the longest with %q: got %d, %d bytes, %q", end, status, len(stdout), stderr)
		}
	}
	for _, line := range []string{
		longText(limit + 1),
		longText(limit+1) + "\r",
		longText(limit) + "\rx",
		longText(limit) + "\r\r",
		longText(limit + 2),
		longText(limit + bufferSize),
		longText(2 * limit),
		strings.Repeat(" ", limit+1),
	} {
		for args, want := range map[string]string{
			"--to text":              "PING\n",
			"--to text --keep-going": "PING\n\nSTOP\n",
			"--check --keep-going":   "",
		} {
			status, stdout, stderr := runHere(strings.NewReader("PING\n"+line+"\nSTOP\n"), strings.Fields(args)...)
			if status != 1 || stdout != want || stderr != tooLong {
				t.Errorf("%d bytes, %s: got %d, %.30q, %q", len(line), args, status, stdout, stderr)
			}
		}
	}
	// The other form may be longer than the limit.
	status, stdout, stderr := runHere(strings.NewReader(longest))
	if want := `{"command":"PING","parameters":{"a":"`; status != 0 || !strings.HasPrefix(stdout, want) || len(stdout) <= limit {
		t.Errorf("got %d, %d bytes, %q", status, len(stdout), stderr)
	}
}

// TestRoundTrip: text that this project wrote is the same again after JSON.
func TestRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var text []byte
	const count = 3000
	for range count {
		text = append(appendRandom(text, random), '\n')
	}
	for _, numbers := range []bool{false, true} {
		args := []string{"--from", "text"}
		if numbers {
			args = append(args, "--numbers")
		}
		status, asJSON, stderr := runHere(bytes.NewReader(text), args...)
		if status != 0 || stderr != "" || strings.Count(asJSON, "\n") != count {
			t.Fatalf("seed %d: to JSON: got %d, %q", seed, status, stderr)
		}
		for line := range strings.Lines(asJSON) {
			var strict struct{ Parameters map[string]string }
			if err := json.Unmarshal([]byte(line), &strict); !json.Valid([]byte(line)) || !numbers && err != nil {
				t.Fatalf("seed %d: %s: %v", seed, line, err)
			}
		}
		status, again, stderr := runHere(strings.NewReader(asJSON), "--from", "json")
		if status != 0 || stderr != "" {
			t.Fatalf("seed %d: to text: got %d, %q", seed, status, stderr)
		}
		lines := strings.Split(again, "\n")
		for i, want := range strings.Split(string(text), "\n") {
			if lines[i] != want {
				t.Fatalf("seed %d: got %q, want %q", seed, lines[i], want)
			}
		}
	}
}

// appendRandom appends the text form of a message that both forms can hold.
func appendRandom(b []byte, random *rand.Rand) []byte {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	for {
		m := message.New(pick("PING", "A", "_", "FETCH_USER2")).
			SetSentFromServer(pick("", "", "web1", "_")).
			SetSentFromService(pick("", "", "frontend")).
			SetService(pick("", "", "store", ".", "*", "?"))
		if m.Service() != "" { // without it a server is not written
			m.SetServer(pick("", "db1", ".", "*", "?"))
		}
		for range random.IntN(9) {
			var value string
			for range random.IntN(5) {
				value += pick(`"`, `\`, ";", "=", " ", "\t", "\v", "\n", "\r", "\r\n", "a", "1", "-", "0", ".5", "e7", "true",
					"false", "null", "{", "}", "\x01", "\x1f", "\x7f", "é", "\u2028", "\ufeff", "\ufffd", "😀")
			}
			m.Set(pick("a", "b", "c", "_", "command", "Parameters", "z9"), value)
		}
		grown, err := m.AppendText(b)
		if err == nil {
			return grown
		}
		if !errors.Is(err, message.ErrUnsendable) {
			panic(err)
		}
	}
}

// FuzzConvert feeds anything with any options, at once and in pieces.
func FuzzConvert(f *testing.F) {
	for _, text := range []string{
		fullText, fullJSON, "PING\r\n\nping\n \n{\n}\nPING a=\xff\nPING a=\x00", `{"command":"PING","parameters":{"a b":1e5,"c":"\u0000"}}`,
		"{PING a=1", "a-b:c.d/e \n<:x ping b=2;a=1;", `{"command":"\n\r","service":" "}`,
	} {
		f.Add([]byte(text), uint8(0), uint8(1), false, false)
		f.Add([]byte(text), uint8(1), uint8(2), true, true)
	}
	f.Fuzz(func(t *testing.T, text []byte, from, to uint8, lenient, numbers bool) {
		from, to = from%3, to%3
		args := []string{"--keep-going", "--from", message.Form(from).String()}
		var second []string // for reading what was written
		if to != 0 {
			second = []string{"--to", message.Form(to).String()}
			args = append(args, second...)
		}
		if lenient {
			args, second = append(args, "--lenient"), append(second, "--lenient")
		}
		if numbers {
			args, second = append(args, "--numbers"), append(second, "--numbers")
		}
		status, stdout, stderr := runHere(bytes.NewReader(text), args...)
		if (status == 1) != (stderr != "") || status > 1 {
			t.Fatalf("%q %q: status %d with %q", args, text, status, stderr)
		}
		lines := bytes.Count(text, []byte{'\n'})
		if len(text) > 0 && text[len(text)-1] != '\n' {
			lines++
		}
		if strings.Count(stdout, "\n") != lines {
			t.Fatalf("%q %q: %q", args, text, stdout)
		}
		for line := range strings.Lines(stdout) {
			if to == uint8(message.FormJSON) && line != "\n" && !json.Valid([]byte(line)) {
				t.Fatalf("%q %q: %q is no JSON", args, text, line)
			}
		}
		if s, o, e := runHere(iotest.OneByteReader(bytes.NewReader(text)), args...); s != status || o != stdout || e != stderr {
			t.Fatalf("%q %q: in pieces %d, %q, %q, at once %d, %q, %q", args, text, s, o, e, status, stdout, stderr)
		}
		if s, o, e := runHere(bytes.NewReader(text), append(args, "--check")...); o != "" || to != 0 && (s != status || e != stderr) {
			t.Fatalf("%q %q: --check: %d, %q, %q, without: %d, %q", args, text, s, o, e, status, stderr)
		}
		if s, o, e := runHere(strings.NewReader(stdout), second...); to != 0 && (s != 0 || o != stdout || e != "") {
			t.Fatalf("%q %q: %q is read as %d, %q, %q", args, text, stdout, s, o, e)
		}
	})
}

func BenchmarkConvert(b *testing.B) {
	for name, line := range map[string]string{"text": fullText + "\n", "json": fullJSON + "\n"} {
		b.Run(name, func(b *testing.B) {
			in := strings.NewReader(strings.Repeat(line, 1000))
			b.SetBytes(in.Size())
			b.ReportAllocs()
			for b.Loop() {
				_, _ = in.Seek(0, io.SeekStart)
				if status := run(cli.Env{Stdin: in, Stdout: io.Discard, Stderr: io.Discard}); status != 0 {
					b.Fatal(status)
				}
			}
		})
	}
}
