package cli_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

func TestLogLevels(t *testing.T) {
	for level, want := range map[string]string{
		"": "error warning", "error": "error", "warn": "error warning", "info": "error warning info",
		"DEBUG": "error warning info debug", "trace": "error warning info debug", "fatal": "",
	} {
		var args []string
		if level != "" {
			args = []string{"--log-level", level}
		}
		tool, env := newTool(cli.Config{Name: "demo"}, args...)
		status := tool.Run(func([]string) error {
			tool.Log.Error("one")
			tool.Log.Warn("two")
			tool.Log.WithField("peer", "\x1b[2J\n").Info("three")
			tool.Log.Debug("four")
			return nil
		})
		var got []string
		for line := range strings.Lines(env.stderr.String()) {
			match := logLine.FindStringSubmatch(line)
			if match == nil {
				t.Fatalf("%s: %q", level, line)
			}
			got = append(got, match[1])
		}
		if strings.Join(got, " ") != want || status != 0 || env.stdout.Len() > 0 {
			t.Errorf("%s: %d, %q, want %s", level, status, got, want)
		}
	}
}

var logLine = regexp.MustCompile(`^time="[^"]+" level=([a-z]+) msg=[a-z]+( peer="\\x1b\[2J\\n")?\n$`)

// TestLogFIFO: nothing waits for a reader.
func TestLogFIFO(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	tool, env := newTool(cli.Config{Name: "demo"}, "--log-file", fifo)
	status := tool.Run(func([]string) error { return nil })
	if want := "demo: --log-file: open " + fifo + ": no such device or address\n"; status != 1 || env.stderr.String() != want {
		t.Errorf("got %d, %q, want %q", status, &env.stderr, want)
	}
}

func TestLogFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	for range 2 {
		tool, env := newTool(cli.Config{Name: "demo"}, "--log-file", file, "--log-level=info")
		status := tool.Run(func([]string) error {
			tool.Log.Info("at work")
			tool.Report(errors.New("a\nb"))
			return errors.Join(errors.New("c"), cli.Usagef("d"))
		})
		// Who looks at the file sees all of it; who looks at the standard error sees each error once.
		const stderr = "demo: a\\nb\ndemo: c\ndemo: d; see demo --help\n"
		if status != 2 || env.stderr.String() != stderr || env.stdout.Len() > 0 {
			t.Errorf("got %d, %q, %q", status, &env.stdout, &env.stderr)
		}
		tool.Log.Warn("afterwards")
		if got := env.stderr.String(); !strings.Contains(got, "msg=afterwards") {
			t.Errorf("logs after the end are lost: %q", got)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const once = `level=info msg="at work"
level=error msg="a\\nb"
level=error msg=c
level=error msg="d; see demo --help"
`
	if got := regexp.MustCompile(`(?m)^time="[^"]+" `).ReplaceAllString(string(text), ""); got != once+once {
		t.Errorf("the file has\n%s\nwant twice\n%s", got, once)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o137 != 0 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
}

func TestLogFileThatCanNotBeOpened(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "log")
	tool, env := newTool(cli.Config{Name: "demo"}, "--log-file", missing)
	status := tool.Run(func([]string) error {
		t.Error("it runs")
		return nil
	})
	if want := "demo: --log-file: open " + missing + ": no such file or directory\n"; status != 1 || env.stderr.String() != want {
		t.Errorf("got %d, %q, want %q", status, &env.stderr, want)
	}
}

// TestLogFileThatIsFull: what can't be logged is an error, once.
func TestLogFileThatIsFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	const full = "demo: --log-file: write /dev/full: no space left on device\n"
	// logrus has words of its own for it, on the standard error of the process.
	stderr := os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = w
	defer func() { os.Stderr = stderr }()
	for _, tt := range []struct {
		args   string
		err    error
		status int
		stderr string
	}{
		{"", nil, 0, ""}, // nothing is logged
		{"--log-level=info", nil, 1, full},
		{"", errors.New("a"), 1, "demo: a\n" + full},
		{"--log-level=info", cli.Usagef("a"), 2, "demo: a; see demo --help\n" + full},
	} {
		tool, env := newTool(cli.Config{Name: "demo"}, append([]string{"--log-file=/dev/full"}, strings.Fields(tt.args)...)...)
		status := tool.Run(func([]string) error {
			tool.Log.Info("one")
			tool.Log.Info("two")
			return tt.err
		})
		if status != tt.status || env.stderr.String() != tt.stderr {
			t.Errorf("%s, %v: got %d, %q, want %d, %q", tt.args, tt.err, status, &env.stderr, tt.status, tt.stderr)
		}
	}
	_ = w.Close()
	if text, err := io.ReadAll(r); err != nil || len(text) > 0 {
		t.Errorf("besides: %q, %v", text, err)
	}
	_ = r.Close()
}
