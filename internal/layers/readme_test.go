package layers_test

import (
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadmePrograms builds the programs that the README shows: people paste them.
func TestReadmePrograms(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 2 {
		t.Fatalf("the README shows %d programs, want 2 or more", len(blocks))
	}
	dir := t.TempDir()
	for i, block := range blocks {
		file := filepath.Join(dir, fmt.Sprintf("readme%d.go", i))
		if err := os.WriteFile(file, block[1], 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "vet", file)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("program %d of the README: %v\n%s", i+1, err, out)
		}
	}
}

// TestReadmeNames: what the README tells users to use exists, and some test or example uses it.
func TestReadmeNames(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]map[string]bool{} // by the package's name: true if a test uses it
	for _, p := range project(t) {
		if name := path.Base(p.dir); !p.nested && !strings.Contains(p.dir, "internal") {
			exported[name] = names(p)
		}
	}
	tested(t, exported)
	found := 0
	for _, match := range regexp.MustCompile("`([a-z]+)\\.([A-Z][A-Za-z]*)(?:\\.([A-Z][A-Za-z]*))?").FindAllStringSubmatch(string(text), -1) {
		pkg, first, second := match[1], match[2], match[3]
		known, ours := exported[pkg]
		if !ours {
			continue // somebody else's
		}
		found++
		for _, name := range []string{first, second} {
			if name == "" {
				continue
			}
			if used, exists := known[name]; !exists {
				t.Errorf("the README names %s: there is no %s", match[0][1:], name)
			} else if !used {
				t.Errorf("the README names %s, which no test uses", match[0][1:])
			}
		}
	}
	if found < 30 {
		t.Errorf("found %d names: the README must look otherwise than this test expects", found)
	}
}

// names are what a package exports: functions, types, methods, fields, variables and constants.
func names(p pkg) map[string]bool {
	all := map[string]bool{}
	for _, f := range p.files {
		if f.test {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				all[n.Name.Name] = false
				return false
			case *ast.TypeSpec:
				all[n.Name.Name] = false
			case *ast.Field:
				for _, name := range n.Names {
					all[name.Name] = false
				}
			case *ast.ValueSpec:
				for _, name := range n.Names {
					all[name.Name] = false
				}
			}
			return true
		})
	}
	return all
}

// tested marks the names that tests use, in whatever way.
func tested(t *testing.T, exported map[string]map[string]bool) {
	t.Helper()
	for _, p := range project(t) {
		for _, f := range p.files {
			if !f.test && !slices.Contains(testOnly, p.dir) {
				continue
			}
			ast.Inspect(f.tree, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					for _, known := range exported {
						if _, exists := known[id.Name]; exists {
							known[id.Name] = true
						}
					}
				}
				return true
			})
		}
	}
}

// TestReadmeExamples: for each kind of source that the README lists, its package has an example that shows it.
func TestReadmeExamples(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Every event\n")
	section, _, _ = strings.Cut(section, "\n## ")
	shown := map[string]map[string]bool{} // the names in the examples, by the package's name
	for _, p := range project(t) {
		shown[path.Base(p.dir)] = inExamples(p)
	}
	shown["Communicator"] = shown["communicator"]
	found := 0
	for _, match := range regexp.MustCompile("`([A-Za-z]+)\\.([A-Z][A-Za-z]*)`").FindAllStringSubmatch(section, -1) {
		found++
		if names, ours := shown[match[1]]; ours && !names[match[2]] {
			t.Errorf("the README lists %s.%s, which no example of its package shows", match[1], match[2])
		}
	}
	if found < 20 {
		t.Errorf("found %d sources: the README must look otherwise than this test expects", found)
	}
}

// inExamples are the names that the examples of a package use.
func inExamples(p pkg) map[string]bool {
	names := map[string]bool{}
	for _, f := range p.files {
		for _, decl := range f.tree.Decls {
			if fn, ok := decl.(*ast.FuncDecl); !ok || !f.test || !strings.HasPrefix(fn.Name.Name, "Example") {
				continue
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					names[id.Name] = true
				}
				return true
			})
		}
	}
	return names
}
