package layers_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// module is the prefix of the project's own import paths.
const module = "github.com/eventdispatcher-go/eventdispatcher"

// lines are the packages of the project from bottom to top, in folders below
// its root. A package imports packages of the lines below its own, never of
// its own line or of one above. "x/..." stands for x and all below it, where
// no entry names a package itself.
var lines = [][]string{
	{"internal/sys", "shmconn/internal/ring", "shmconn/internal/wire", "internal/logger", "internal/closed", "internal/timerqueue", "internal/timerwheel"},
	{"internal/fileowner"},
	{"internal/socketfile"},
	{"message"},
	{"message/definition"},
	{"dispatcher"},
	{"communicator"},
	{
		"timer", "connection/activation", "connection/channel", "connection/filewatch", "connection/notify", "connection/pressure",
		"connection/procwatch", "connection/signals", "connection/worker",
	},
	{"communicator/inspect"},
	{"connection"},
	{"tcp", "udp", "unixsock", "fifo"},
	{"shmconn"},
	{"connection/command", "connection/logrotate"},
	{"tools/internal/..."},
	{"tools/...", "examples/..."},
}

// testOnly are the packages that only tests import; what they import
// themselves is free.
var testOnly = []string{"tools/internal/tooltest", "internal/conntest", "internal/fdtest", "internal/tlstest", "internal/layers", "internal/looptest", "internal/netnstest"}

// apart are pairs that mustn't meet though their lines would let them: the
// loop knows nothing of messages, so that either is of use without the other.
var apart = map[string][]string{
	"communicator": {"message", "message/definition", "dispatcher"},
}

// thirdParty says which packages may import a module of somebody else's, in
// code that ships; "*" is all of them. A module has its reason in
// CONTRIBUTING.md.
var thirdParty = map[string][]string{
	"golang.org/x/sys/unix":           {"internal/sys", "internal/netnstest"},
	"github.com/sirupsen/logrus":      {"internal/logger", "tools/...", "examples/..."},
	"github.com/spf13/pflag":          {"tools/...", "examples/..."},
	"github.com/fsnotify/fsnotify":    {"connection/filewatch"},
	"golang.org/x/net/nettest":        {"internal/conntest"},
	"github.com/google/go-cmp/cmp":    {"internal/conntest"},
	"github.com/rogpeppe/go-internal": {"tools/internal/tooltest"},
}

// syscallNames are the names of package syscall that may be used outside
// internal/sys: types and numbers, never a call.
var syscallNames = regexp.MustCompile(`^(Conn|RawConn|Errno|Signal|WaitStatus|SysProcAttr|Credential|Stat_t|E[A-Z0-9]+|SIG[A-Z0-9]+|[OS]_[A-Z]+)$`)

const (
	maxLines = 700
	where    = "; the tables are at the top of internal/layers/layers_test.go"
)

func TestImports(t *testing.T) {
	for _, p := range project(t) {
		if p.nested {
			continue // a module of its own has its own rules
		}
		if lineOf(p.dir) < 0 && !slices.Contains(testOnly, p.dir) {
			t.Errorf("package %q has no line yet: add it to lines"+where, p.dir)
			continue
		}
		for _, f := range p.files {
			for _, imported := range f.imports {
				if complaint := judge(p.dir, imported, f.test); complaint != "" {
					t.Errorf("%s: %s"+where, f.name, complaint)
				}
			}
		}
	}
}

// judge says what is wrong with a package that imports another, or "".
func judge(dir, imported string, test bool) string {
	if imported == "C" {
		return `imports "C": the project is pure Go`
	}
	if own, ok := ownFolder(imported); ok {
		return judgeOwn(dir, own, test)
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for name, users := range thirdParty {
		if imported != name && !strings.HasPrefix(imported, name+"/") {
			continue
		}
		if test || slices.ContainsFunc(users, func(u string) bool { return matches(u, dir) }) {
			return ""
		}
		return "imports " + imported + ", which is for " + strings.Join(append(users, "tests"), ", ")
	}
	return "imports " + imported + ", which is no dependency of this project"
}

func judgeOwn(dir, imported string, test bool) string {
	if test || slices.Contains(testOnly, dir) {
		return "" // an example of a low package may well show a high one
	}
	if slices.Contains(testOnly, imported) {
		return "imports " + imported + ", which is for tests"
	}
	if slices.Contains(apart[dir], imported) {
		return dir + " and " + imported + " have to stay apart"
	}
	switch own, other := lineOf(dir), lineOf(imported); {
	case other < 0:
		return "imports " + imported + ", which has no line"
	case other == own:
		return "imports " + imported + ", which is on its own line"
	case other > own:
		return "imports " + imported + ", which is on a line above"
	}
	return ""
}

// TestJudge pins the judgements themselves, so that a slip in a table doesn't
// make the whole test agree with everything.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		dir, imported string
		test, ok      bool
	}{
		{"dispatcher", module + "/message", false, true},
		{"tcp", module + "/connection", false, true},
		{"tcp", module + "/internal/sys", false, true},
		{"tools/ed-signal", module + "/tools/internal/cli", false, true},
		{"examples/service", module + "/tcp", false, true},
		{"connection", module + "/timer", false, true},
		{"message", module + "/dispatcher", false, false},
		{"message", module + "/communicator", false, false},
		{"communicator", module + "/message", false, false},
		{"communicator", module + "/dispatcher", false, false},
		{"tcp", module + "/udp", false, false},
		{"timer", module + "/connection/signals", false, false},
		{"connection/signals", module + "/connection", false, false},
		{"tools/ed-stop", module + "/tools/ed-signal", false, false},
		{"tcp", module + "/unheard", false, false},
		{"tcp", module + "/internal/fdtest", false, false},
		{"tcp", module + "/internal/fdtest", true, true},
		{"internal/conntest", module + "/connection", false, true},
		{"communicator", module + "/tcp", true, true},
		{"internal/sys", "golang.org/x/sys/unix", false, true},
		{"tcp", "golang.org/x/sys/unix", false, false},
		{"tcp", "golang.org/x/sys/unix", true, true},
		{"tcp", "github.com/sirupsen/logrus", false, false},
		{"internal/logger", "github.com/sirupsen/logrus/hooks/slog", false, true},
		{"tools/ed-stop", "github.com/spf13/pflag", false, true},
		{"message", "github.com/google/go-cmp/cmp", true, true},
		{"message", "github.com/stretchr/testify/assert", true, false},
		{"message", "encoding/json", false, true},
		{"message", "C", false, false},
	} {
		if complaint := judge(c.dir, c.imported, c.test); (complaint == "") != c.ok {
			t.Errorf("%s imports %s (test: %v): judged %q", c.dir, c.imported, c.test, complaint)
		}
	}
}

func TestSystemCallsInOnePlace(t *testing.T) {
	for _, p := range project(t) {
		if p.nested || p.dir == "internal/sys" {
			continue
		}
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, name := range f.uses("syscall") {
				if !syscallNames.MatchString(name) {
					t.Errorf("%s uses syscall.%s: put the call into internal/sys"+where, f.name, name)
				}
			}
		}
	}
}

func TestFileLength(t *testing.T) {
	for _, p := range project(t) {
		for _, f := range p.files {
			if f.lines > maxLines {
				t.Errorf("%s has %d lines, more than %d: split it by what is in it", f.name, f.lines, maxLines)
			}
		}
	}
}

func TestNoTestSleeps(t *testing.T) {
	for _, p := range project(t) {
		for _, f := range p.files {
			if f.test && slices.Contains(f.uses("time"), "Sleep") {
				t.Errorf("%s sleeps: wait for what has to happen", f.name)
			}
		}
	}
}

func TestPackageDoc(t *testing.T) {
	for _, p := range project(t) {
		// Where there is nothing but tests, the comment stands in one of them.
		onlyTests := !slices.ContainsFunc(p.files, func(f file) bool { return !f.test })
		documented := func(f file) bool { return f.doc && (onlyTests || !f.test) }
		if !slices.ContainsFunc(p.files, documented) {
			t.Errorf("package %s has no doc comment: say what it is for and when not to use it", path.Join("./", p.dir))
		}
	}
}

// ownFolder returns the folder of a package of this project.
func ownFolder(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// lineOf returns the line of a folder, counted from the bottom, or -1. The
// longest entry that matches decides.
func lineOf(dir string) int {
	line, longest := -1, -1
	for i, entries := range lines {
		for _, entry := range entries {
			if matches(entry, dir) && len(entry) > longest {
				line, longest = i, len(entry)
			}
		}
	}
	return line
}

// matches tells whether a folder is meant by an entry of a table.
func matches(entry, dir string) bool {
	below, all := strings.CutSuffix(entry, "/...")
	return dir == below || all && strings.HasPrefix(dir, below+"/")
}
