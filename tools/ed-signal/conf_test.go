package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

func TestParseConf(t *testing.T) {
	const text = "\ufeff# comment\n" +
		"; comment\r\n" +
		"\n" +
		"plain=1\r\n" +
		"  with_under-scores \t=\t two words  \n" +
		"double = \" kept \"\n" +
		"single=' kept'\n" +
		"odd=\"quote\n" +
		"empty=\n" +
		"equal=a=b # no comment\n" +
		"other::name=x\n" +
		"[ section_one ] ; comment\n" +
		"name=y\n" +
		"deep::name=z\n" +
		"[section-one]\n" +
		"name=last"
	want := []variable{
		{"plain", "1", 4, ""},
		{"with-under-scores", "two words", 5, ""},
		{"double", " kept ", 6, ""},
		{"single", " kept", 7, ""},
		{"odd", `"quote`, 8, ""},
		{"empty", "", 9, ""},
		{"equal", "a=b # no comment", 10, ""},
		{"other::name", "x", 11, ""},
		{"section-one::name", "y", 13, ""},
		{"section-one::deep::name", "z", 14, ""},
		{"section-one::name", "last", 16, ""},
	}
	c, err := parseConf("demo.conf", []byte(text))
	if err != nil || c.stray != 0 || !slices.Equal(c.variables, want) {
		t.Fatalf("got %v, stray %d, %+v", err, c.stray, c.variables)
	}
	for name, want := range map[string]string{
		"plain": "1", "with-under_scores": "two words", "section_one::name": "last", "empty": "",
	} {
		if got, err := c.lookup(name); err != nil || got != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "name", "Plain", "one::name", "section"} {
		if got, err := c.lookup(name); err == nil {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestStrayLines(t *testing.T) {
	for _, text := range []string{"a=1\nb=2\nno variable\nc=3", "\n\n=value", "\n\n [open\nc=3\n", "#\n#\n[]\n", "#\n\n[a] b\nc=3", "a=1\n\n\xff\xfe\n"} {
		c, err := parseConf("demo.conf", []byte(text))
		if err != nil || c.stray != 3 {
			t.Errorf("%q: %v, stray line %d", text, err, c.stray)
		}
		if got, err := c.lookup("c"); (err == nil) != strings.Contains(text, "variable\nc") {
			t.Errorf("%q: c is %q, %v", text, got, err)
		}
	}
}

func TestConfLimits(t *testing.T) {
	line := "a=" + strings.Repeat("x", maxConfLine-2)
	whole := strings.Repeat("#"+strings.Repeat("-", 1022)+"\n", maxConf/1024)
	for _, tt := range []struct {
		text, want string
	}{
		{"b=1\n" + line + "\n", ""},
		{"b=1\n" + line + "y\n", "demo.conf:2: the line is longer than 65536 bytes"},
		{"b=1\n" + strings.Repeat("z", 10<<20), "demo.conf:2: the line is longer than 65536 bytes"},
		{whole, ""},
		{whole + "\n", "demo.conf: the file is longer than 1048576 bytes"},
		{"b=1\nc=\x00\n", "demo.conf:2: a NUL byte, so this is no configuration file"},
		{"#\x00\n", "demo.conf:1: a NUL byte, so this is no configuration file"},
	} {
		c, err := parseConf("demo.conf", []byte(tt.text))
		if tt.want == "" {
			if err != nil || c.stray != 0 {
				t.Errorf("%.20q: %v", tt.text, err)
			}
			continue
		}
		if wrong := (*confError)(nil); !errors.As(err, &wrong) || err.Error() != tt.want {
			t.Errorf("%.20q: got %v, want %s", tt.text, err, tt.want)
		}
	}
}

func FuzzConf(f *testing.F) {
	f.Add([]byte("# comment\n[section]\nname = \"value\"\nsection::other=1\n"))
	f.Add([]byte("name=0\nname='a'b"))
	f.Add([]byte("\ufeffa_b=' x'\r\n[\n=\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseConf("demo.conf", text)
		if err != nil {
			if !slices.Contains(text, 0) && len(text) <= maxConfLine {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		lines := strings.Split(string(text), "\n")
		for _, v := range c.variables {
			line := lines[v.line-1]
			if !strings.Contains(line, v.value) || !strings.Contains(line, "=") {
				t.Errorf("%q: %+v", line, v)
			}
			if v.name == "" || strings.ContainsAny(v.name, "_\n") {
				t.Errorf("a name: %+v", v)
			}
			// Of several of the name the last one counts, also when its value is wrong.
			if _, err := c.lookup(v.name); err != nil && !errors.As(err, new(*confError)) {
				t.Errorf("not found: %+v", v)
			}
		}
	})
}

// TestConfigured: what the file says counts where neither the environment nor the command line says something.
func TestConfigured(t *testing.T) {
	p := startPeer(t, receiver.UDP, behaviour{})
	config := write(t, strings.Join([]string{
		"# who is told",
		"host = " + p.address,
		"service=demo",
		"secret_code='from the file'",
		"param = a=1",
		`param="b=2 ;"`,
		"message=CONFIGURED",
		"timeout=2.5",
		"reply=off",
	}, "\n"))
	for _, tt := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{nil, nil, `demo/CONFIGURED a=1;b="2 ;";secret_code=from the file`},
		{[]string{"-p", "c=3"}, nil, "demo/CONFIGURED c=3;secret_code=from the file"},
		{[]string{"PING", "-S", "other"}, nil, `other/PING a=1;b="2 ;";secret_code=from the file`},
		{[]string{"-m", "PING"}, map[string]string{"ED_SIGNAL": "--service 'env' -p 'd=4 5'"}, "env/PING d=4 5;secret_code=from the file"},
		{[]string{"PING", "-p", "x", "-c", "line"}, map[string]string{"ED_SIGNAL_SECRET": "env"}, "demo/PING secret_code=line;x="},
		{[]string{"PING", "-p", "x", "-c", ""}, map[string]string{"ED_SIGNAL_SECRET": "env"}, "demo/PING x="},
		{[]string{"PING", "-p", "x"}, map[string]string{"ED_SIGNAL_SECRET": "env"}, "demo/PING secret_code=from the file;x="},
		{[]string{"PING", "-p", "x", "--secret-file", "-"}, nil, "demo/PING secret_code=from stdin;x="},
	} {
		s := surroundings{variables: tt.env, config: config, stdin: "from stdin\nmore\n"}
		status, _, stderr := s.run(tt.args...)
		if status != 0 {
			t.Errorf("%q: %d, %q", tt.args, status, stderr)
			continue
		}
		if got := p.got(); got != "<vm:ed_signal "+tt.want {
			t.Errorf("%q: sent %q, want %q", tt.args, got, tt.want)
		}
	}
}

func TestDefaultConfig(t *testing.T) {
	dir := t.TempDir()
	for _, missing := range []string{filepath.Join(dir, "missing"), filepath.Join(write(t, ""), "not", "a", "folder")} {
		if got := sent(t, surroundings{config: missing}, "PING"); got != "PING" {
			t.Errorf("%s: sent %q", missing, got)
		}
	}
	config := write(t, "service=demo")
	if got := sent(t, surroundings{config: config}, "PING"); got != "demo/PING" {
		t.Errorf("sent %q", got)
	}
	for _, args := range [][]string{{"--config", ""}, {"--config", write(t, "")}} {
		if got := sent(t, surroundings{config: config}, append(args, "PING")...); got != "PING" {
			t.Errorf("%q: sent %q", args, got)
		}
	}
	// A file that is there but can't be read is no missing one.
	if status, _, stderr := (surroundings{config: dir}).run("PING"); status != 1 || !strings.Contains(stderr, dir) {
		t.Errorf("a folder: %d, %q", status, stderr)
	}
	if os.Getuid() != 0 {
		if err := os.Chmod(config, 0); err != nil {
			t.Fatal(err)
		}
		if status, _, stderr := (surroundings{config: config}).run("PING"); status != 1 || !strings.Contains(stderr, "permission denied") {
			t.Errorf("not for this user: %d, %q", status, stderr)
		}
	}
	// Those who only ask for help are helped.
	broken := write(t, "nonsense")
	if status, _, stderr := (surroundings{config: broken}).run("--help"); status != 0 || stderr != "" {
		t.Errorf("--help: %d, %q", status, stderr)
	}
}

func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		"nonsense":                     ":1: neither OPTION=VALUE nor a comment",
		"type=tcp\n\nhots=x":           `:3: no option is named "hots"`,
		"H=x":                          `:1: no option is named "H"`,
		"[section]\nhost=x":            `:2: no option is named "section::host"`,
		"--host=x":                     `:1: no option is named "--host"`,
		"help=true":                    ":1: help is an option of the command line only",
		"config=/x":                    ":1: config is an option of the command line only",
		"log_file=/x":                  ":1: log-file is an option of the command line only",
		"encrypt=perhaps":              `:1: encrypt: "perhaps": none of true`,
		"timeout=soon":                 `:1: timeout: "soon": not a time`,
		"\x7fELF\x02\x00\x00":          ":1: a NUL byte",
		strings.Repeat("x", 10<<20):    ":1: the line is longer than 65536 bytes",
		strings.Repeat("#\n", 1<<20):   ": the file is longer than 1048576 bytes",
		"\x1b[2J\xff":                  ":1: neither OPTION=VALUE nor a comment",
		"\x1b[2J=1":                    ":1: no option is named",
		"host=\x1b[2J\x07":             `\x1b`,
		"type=sctp":                    `--type: "sctp" is none of`,
		"service=a-b":                  `service "a-b"`,
		"encrypt=yes":                  "--encrypt needs --type tcp",
		"secret-file=/missing-secret":  "/missing-secret",
		"host=/missing-conf@demo":      "/missing-conf",
		"type=unix\nencrypt=1\nhost=x": "--encrypt needs --type tcp",
	} {
		file := write(t, text)
		status, stdout, stderr := runHere("--config", file, "PING")
		if strings.HasPrefix(want, ":") {
			want = file + want
		}
		if status != 1 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "\x1b") {
			t.Errorf("%.40q: got %d, %.300q, want %s", text, status, stderr, want)
		}
	}
}
