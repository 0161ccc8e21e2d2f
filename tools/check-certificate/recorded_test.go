package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

// recording is one run of the C++ library's tool.
type recording struct {
	section, command string
	output           string // of both streams
	status           int
}

// recordings reads testdata/recorded.txt.
func recordings(t *testing.T) (all []recording) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "recorded.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var next recording
	for line := range strings.Lines(string(text)) {
		section, isSection := strings.CutPrefix(line, "### ")
		command, isCommand := strings.CutPrefix(line, "$ check-certificate ")
		status, isStatus := strings.CutPrefix(line, "rc=")
		switch {
		case isSection:
			next.section = strings.TrimSpace(section)
		case isCommand:
			next.command, next.output = strings.TrimSpace(command), ""
		case isStatus:
			if next.status, err = strconv.Atoi(strings.TrimSpace(status)); err != nil {
				t.Fatal(err)
			}
			all = append(all, next)
		default:
			next.output += line
		}
	}
	return all
}

// TestRecorded plays what was recorded of the C++ library's tool, with a port behind each localhost. What differs is
// listed, and stands under DIFFERENCES of the manual page; all else is the same byte for byte.
func TestRecorded(t *testing.T) {
	type outcome struct {
		status int
		output string
	}
	const (
		limit  = "certificate valid 15 days"
		far    = "certificate valid 400 days"
		none   = "no server"
		usage  = "; see check-certificate --help\n"
		outOf  = "not from 1d to 1y (365 days)" + usage
		noName = "check-certificate: no name is given, and no file" + usage
	)
	bad := func(argument, what string) outcome {
		return outcome{2, `check-certificate: invalid argument "` + argument + `" for "-l, --limit" flag: ` + what}
	}
	soon := func(days, limit string) outcome {
		return outcome{1, "NAME: certificate expires in " + days + " days, on END (limit " + limit + " days)\n"}
	}
	differences := map[string]outcome{
		// A certificate that ends soon has a line.
		"certificate valid 5 days: localhost":  soon("5", "14"),
		"certificate valid 13 days: localhost": soon("13", "14"),
		limit + ": -l 20 localhost":            soon("15", "20"),
		// The limit is not compared with seconds.
		limit + ": --limit 10 localhost":  {},
		limit + ": --limit 14 localhost":  {},
		limit + ": --limit 10d localhost": {},
		limit + ": --limit 1w localhost":  {},
		far + ": --limit 10 localhost":    {},
		far + ": --limit 1y localhost":    {},
		// A wrong command line has a status of its own, and always a word.
		far + ": -l 2y localhost":  bad("2y", outOf),
		far + ": -l 0.5 localhost": bad("0.5", outOf),
		far + ": -l abc localhost": bad("abc", errNoSpan.Error()+usage),
		none + ": ":                {2, noName},
		none + ": -i":              {2, noName},
		// An error says why.
		none + ": localhost": {1, "check-certificate: NAME: failed to load the certificate: connection refused\n"},
	}
	// These ask a name server for names that don't exist; TestScripts has one that needs none.
	outside := map[string]bool{"nosuch.invalid": true, "a b": true}

	tool := filepath.Join(tooltest.Build(t, "tools/check-certificate"), program)
	root := newRoot(t)
	type server struct {
		name, end    string
		begin, after string
	}
	servers := map[string]server{none: {name: refused(t)}}
	for _, days := range []int{5, 13, 15, 400} {
		c := issue(t, root, ecKey(), days)
		servers["certificate valid "+strconv.Itoa(days)+" days"] = server{
			name: serve(t, func(conn net.Conn) { secure(c)(conn) }), end: c.Leaf.NotAfter.UTC().Format(timeFormat),
			begin: c.Leaf.NotBefore.In(time.Local).Format("2006/01/02 15:04:05"),
			after: c.Leaf.NotAfter.In(time.Local).Format("2006/01/02 15:04:05"),
		}
	}
	played := 0
	for _, r := range recordings(t) {
		key := r.section + ": " + r.command
		want, differs := differences[key]
		if !differs {
			want = outcome{r.status, r.output}
		}
		delete(differences, key)
		if r.section == none && outside[r.command] {
			continue
		}
		played++
		s, known := servers[r.section]
		if !known {
			t.Fatalf("no server for %q", r.section)
		}
		args := strings.Fields(strings.ReplaceAll(r.command, "localhost", s.name))
		output, err := exec.Command(tool, args...).CombinedOutput()
		if err != nil && exitStatus(err) < 0 {
			t.Fatal(err)
		}
		text := strings.NewReplacer("NAME", s.name, "END", s.end).Replace(want.output)
		for pattern, now := range map[string]string{
			`(?m)^domain: .*$`: "domain: " + s.name, `(?m)^not-before: .*$`: "not-before: " + s.begin, `(?m)^not-after: .*$`: "not-after: " + s.after,
		} {
			text = regexp.MustCompile(pattern).ReplaceAllString(text, now)
		}
		if status := exitStatus(err); status != want.status {
			t.Errorf("%s: status %d, want %d", key, status, want.status)
		}
		if diff := cmp.Diff(text, string(output)); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", key, diff)
		}
	}
	if len(differences) != 0 || played < 15 {
		t.Errorf("%d were played, and these were not: %v", played, differences)
	}
}

// exitStatus is the status of a program that has run, or -1.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Command wraps it in nothing
		return exit.ExitCode()
	}
	return -1
}
