package definition_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
)

// load loads definitions without mistakes.
func load(t *testing.T, config definition.Config) *definition.Set {
	t.Helper()
	set, err := definition.Load(config)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// folder makes a folder with these files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		writeFile(t, filepath.Join(dir, name), text)
	}
	return dir
}

func TestLoadFirstFolderWins(t *testing.T) {
	first := folder(t, map[string]string{
		"FETCH.conf": "[first]\nflags=\n",
		"ALIVE.conf": "[first]\nflags=\n", // is built in, too
		"README":     "no definition\n",
		"X.conf~":    "nor this\n",
		"STOP.CONF":  "nor this\n",
	})
	second := folder(t, map[string]string{
		"FETCH.conf": "[second]\nflags=\n",
		"STORE.conf": "[second]\nflags=\n",
		"HELP.conf":  "[second]\nflags=\n",
	})
	set := load(t, definition.Config{Path: first + ":" + second})
	for command, want := range map[string]string{
		"FETCH": "first", "ALIVE": "first", "STORE": "second", "HELP": "second", "COMMANDS": "list", "UNREGISTER": "service",
	} {
		d, found := set.Lookup(command)
		if !found || d.Command != command || len(d.Parameters) != 1 || d.Parameters[0].Name != want {
			t.Errorf("%s: got %+v, %v, want the parameter %s", command, d, found, want)
		}
	}
	builtIn := load(t, definition.Config{}).Commands()
	want := append(builtIn, "FETCH", "STORE")
	slices.Sort(want)
	if diff := cmp.Diff(want, set.Commands()); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// TestLoadReportsAllProblems: one a line, folder by folder, in the order of the names of the files.
func TestLoadReportsAllProblems(t *testing.T) {
	first := folder(t, map[string]string{
		"A.conf":         "[a]\ntype = int\n\n[b]\n",
		"GOOD.conf":      "[a]\nflags = required\n",
		"LONG.conf":      strings.Repeat("#", 1<<20+1),
		"LONGEST.conf":   strings.Repeat("#", 1<<20),
		"Z.conf/nothing": "",
		"a-b.conf":       "",
		"lower.conf":     "x\n",
	})
	second := folder(t, map[string]string{
		"A.conf": "[a]\ntype = hidden by the first folder's\n",
		"B.conf": "\n\nrubbish\n",
	})
	missing := filepath.Join(first, "missing")
	set, err := definition.Load(definition.Config{Path: strings.Join([]string{first, missing, second}, ":")})
	if err == nil || set != nil {
		t.Fatalf("got %v, %v", set, err)
	}
	want := `1/A.conf:2: no such type: "int"
1/A.conf:4: section "b" has no key: the C++ library ignores it; add a type or flags
1/LONG.conf: longer than 1048576 bytes
1/Z.conf: not a regular file
1/a-b.conf: "a-b" is not the name of a command
1/lower.conf: "lower" is not the name of a command
1/lower.conf:1: neither [parameter] nor key=value nor a comment
definition: open 1/missing: no such file or directory
2/B.conf:3: neither [parameter] nor key=value nor a comment`
	got := strings.NewReplacer(first, "1", second, "2").Replace(err.Error())
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	var file *definition.FileError
	if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &file) || file.File != filepath.Join(first, "A.conf") || file.Line != 2 {
		t.Errorf("errors.As finds %+v", file)
	}
}

// TestLoadHidesNothing: a bad file of the first folder is not replaced by a good one of the next, nor by the built in one.
func TestLoadHidesNothing(t *testing.T) {
	first := folder(t, map[string]string{"ALIVE.conf": "[a]\n"})
	second := folder(t, map[string]string{"ALIVE.conf": "[a]\nflags=\n"})
	for _, path := range []string{first, first + ":" + second} {
		if set, err := definition.Load(definition.Config{Path: path}); err == nil {
			t.Errorf("%s: got %v", path, set.Commands())
		}
	}
	if _, err := definition.Load(definition.Config{Path: second + ":" + first}); err != nil {
		t.Errorf("a file that is not used was read: %v", err)
	}
}

func TestLoadOfAFile(t *testing.T) {
	file := filepath.Join(folder(t, map[string]string{"A.conf": ""}), "A.conf")
	if _, err := definition.Load(definition.Config{Path: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

func TestFind(t *testing.T) {
	first := folder(t, map[string]string{"A.conf": "", "B.conf/directory": ""})
	second := folder(t, map[string]string{"A.conf": "", "B.conf": "", "C.conf": "", "low.conf": ""})
	path := filepath.Join(first, "missing") + ":" + first + ":" + second
	for command, want := range map[string]string{
		"A": filepath.Join(first, "A.conf"),
		"B": filepath.Join(first, "B.conf"), // whatever it is: reading it says what is wrong
		"C": filepath.Join(second, "C.conf"),
	} {
		if got, err := definition.Find(path, command); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", command, got, err, want)
		}
	}
	for _, tt := range []struct {
		path, command string
		want          error
	}{
		{path, "D", fs.ErrNotExist},
		{first, "C", fs.ErrNotExist},
		{"", "A", fs.ErrNotExist},
		{path, "ALIVE", fs.ErrNotExist}, // the built in ones have no file
		{path, "low", message.ErrName},
		{path, "", message.ErrName},
		{path, "../A", message.ErrName},
		{path, "A.conf", message.ErrName},
	} {
		got, err := definition.Find(tt.path, tt.command)
		if got != "" || !errors.Is(err, tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %q, %v, want %v", tt.command, got, err, tt.want)
		}
	}
	// What keeps it from looking is told, not passed over.
	file := filepath.Join(second, "A.conf")
	if got, err := definition.Find(file+":"+second, "A"); got != "" || err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestReadFile(t *testing.T) {
	fdtest.Check(t)
	dir := folder(t, map[string]string{
		"A.conf":     "[a]\ntype=integer\n",
		"B":          "[a]\ntype=integer\n",
		"BAD.conf":   "[a]\ntype=int\n",
		"A.B.conf":   "",
		"LONG.conf":  strings.Repeat("\n", 1<<20+1),
		"D.conf/sub": "",
	})
	for file, command := range map[string]string{"A.conf": "A", "B": "B"} {
		d, err := definition.ReadFile(filepath.Join(dir, file))
		if err != nil || d.Command != command || len(d.Parameters) != 1 || d.Parameters[0].Type != definition.Integer {
			t.Errorf("%s: got %+v, %v", file, d, err)
		}
	}
	for file, want := range map[string]string{
		"BAD.conf":  `DIR/BAD.conf:2: no such type: "int"`,
		"A.B.conf":  `DIR/A.B.conf: "A.B" is not the name of a command`,
		"LONG.conf": "DIR/LONG.conf: longer than 1048576 bytes",
		"D.conf":    "DIR/D.conf: not a regular file",
		"NONE.conf": "definition: stat DIR/NONE.conf: no such file or directory",
	} {
		d, err := definition.ReadFile(filepath.Join(dir, file))
		if d != nil || err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != want {
			t.Errorf("%s: got %+v, %v, want %s", file, d, err, want)
		}
	}
	if _, err := definition.ReadFile(filepath.Join(dir, "NONE.conf")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if os.Geteuid() == 0 {
		return // may read everything
	}
	secret := filepath.Join(dir, "A.conf")
	if err := os.Chmod(secret, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := definition.ReadFile(secret); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}

func TestAdd(t *testing.T) {
	var set definition.Set
	m := message.New("FETCH")
	if err := set.Check(m); err != nil || len(set.Commands()) != 0 {
		t.Errorf("the zero set: %v, %v", err, set.Commands())
	}
	first := &definition.Definition{Command: "FETCH", Parameters: []definition.Parameter{{Name: "id", Required: true}}}
	if err := set.Add(first); err != nil {
		t.Fatal(err)
	}
	first.Parameters[0].Required = false // of the user's, not of the one in the set
	if _, found := set.Lookup("FETCH"); !found || !errors.Is(set.Check(m), message.ErrMissing) {
		t.Errorf("found %v, %v", found, set.Check(m))
	}
	if err := set.Add(&definition.Definition{Command: "FETCH"}); err != nil || set.Check(m) != nil {
		t.Errorf("replaced: %v, %v", err, set.Check(m))
	}
	if _, found := set.Lookup("STORE"); found {
		t.Error("STORE was found")
	}

	loaded := load(t, definition.Config{})
	if err := loaded.Add(&definition.Definition{Command: "HELP", Closed: true}); err != nil {
		t.Fatal(err)
	}
	if err := loaded.Check(message.New("HELP").Set("a", "")); !errors.Is(err, definition.ErrNotListed) {
		t.Errorf("instead of a built in one: %v", err)
	}
}

func TestAddRefuses(t *testing.T) {
	type all = []definition.Parameter
	for _, tt := range []struct {
		command    string
		parameters all
		want       string
		kind       error
	}{
		{"", nil, "missing", message.ErrName},
		{"fetch", nil, `"fetch"`, message.ErrName},
		{"FETCH", all{{}}, "missing", message.ErrName},
		{"FETCH", all{{Name: "a-b"}}, `"a-b"`, message.ErrName},
		{"FETCH", all{{Name: "a"}, {Name: "b"}, {Name: "a"}}, `"a" is there twice`, nil},
		{"FETCH", all{{Name: "a", Type: 4}}, `"a": no such type: Type(4)`, nil},
		{"FETCH", all{{Name: "a", Required: true, Forbidden: true}}, `"a": both required and forbidden`, nil},
	} {
		var set definition.Set
		err := set.Add(&definition.Definition{Command: tt.command, Parameters: tt.parameters})
		if err == nil || !strings.Contains(err.Error(), tt.want) || tt.kind != nil && !errors.Is(err, tt.kind) {
			t.Errorf("%q %+v: got %v, want %s", tt.command, tt.parameters, err, tt.want)
		}
		if len(set.Commands()) != 0 {
			t.Errorf("%q %+v was added", tt.command, tt.parameters)
		}
	}
}

// TestAnyOrder: closed definitions find their parameters in whatever order they were written.
func TestAnyOrder(t *testing.T) {
	d := definition.Definition{Command: "FETCH", Closed: true, Parameters: []definition.Parameter{{Name: "name"}, {Name: "id"}}}
	m := message.New("FETCH").Set("id", "1").Set("name", "x")
	var set definition.Set
	if err := errors.Join(d.Check(m), set.Add(&d), set.Check(m)); err != nil {
		t.Error(err)
	}
}

func TestNilSet(t *testing.T) {
	var set *definition.Set
	if err := set.Check(message.New("ALIVE")); err != nil {
		t.Error(err)
	}
	if d, found := set.Lookup("ALIVE"); d != nil || found {
		t.Errorf("got %v, %v", d, found)
	}
	if commands := set.Commands(); len(commands) != 0 {
		t.Error(commands)
	}
}

// TestEmptyFolder: a colon too many does not mean the current folder.
func TestEmptyFolder(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir + ":", ":" + dir, dir + "::" + dir} {
		if set, err := definition.Load(definition.Config{Path: path}); err == nil {
			t.Errorf("Load of %q: %v", path, set.Commands())
		}
		if file, err := definition.Find(path, "STOP"); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Find in %q: %q, %v", path, file, err)
		}
	}
}

// TestFilesThatAreNone: what hangs or dangles in a folder does not hang or spoil the program.
func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("nobody@nowhere.1", filepath.Join(dir, ".#ALIVE.conf")); err != nil {
		t.Fatal(err)
	}
	if _, err := definition.Load(definition.Config{Path: dir}); err != nil {
		t.Errorf("beside the lock file of an editor: %v", err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "ENDLESS.conf")); err != nil {
		t.Fatal(err)
	}
	var wrong *definition.FileError
	if _, err := definition.Load(definition.Config{Path: dir}); !errors.As(err, &wrong) {
		t.Errorf("beside a device: %v", err)
	}
}
