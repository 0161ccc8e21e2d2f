package layers_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// pkg is a folder with Go files.
type pkg struct {
	dir    string // below the project's root, "." for the root itself
	nested bool   // part of a nested module
	files  []file
}

// file is what the rules look at in one Go file.
type file struct {
	name    string // below the project's root
	test    bool
	doc     bool // has a package comment
	lines   int
	imports []string
	tree    *ast.File
}

// uses returns the names that the file takes from an imported package.
func (f file) uses(imported string) []string {
	i := slices.Index(f.imports, imported)
	if i < 0 {
		return nil
	}
	local := imported // true of every package of one element
	if as := f.tree.Imports[i].Name; as != nil {
		local = as.Name
	}
	var names []string
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
				names = append(names, sel.Sel.Name)
			}
		}
		return true
	})
	return names
}

// project returns every package of the checkout. The files are parsed here
// instead of asking the go command: so the files of every build tag and of the
// nested modules are seen, and go test knows which files its cached result
// stands for.
func project(t *testing.T) []pkg {
	t.Helper()
	pkgs, err := readProject()
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 2 {
		t.Fatalf("found %d packages: the root of the project must be elsewhere", len(pkgs))
	}
	return pkgs
}

var readProject = sync.OnceValues(func() ([]pkg, error) {
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return nil, err
	}
	byDir := map[string]*pkg{}
	var dirs []string
	var nested []string // roots of nested modules, each with a closing slash
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		below = filepath.ToSlash(below)
		if d.IsDir() {
			if below == "." {
				return nil
			}
			if base := d.Name(); base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
				return fs.SkipDir
			}
			switch _, err := os.Stat(filepath.Join(name, "go.mod")); {
			case err == nil:
				nested = append(nested, below+"/")
			case !errors.Is(err, fs.ErrNotExist):
				return err
			}
			return nil
		}
		if !strings.HasSuffix(below, ".go") {
			return nil
		}
		f, err := readFile(name, below)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(below))
		p := byDir[dir]
		if p == nil {
			inside := func(module string) bool { return strings.HasPrefix(dir+"/", module) }
			p = &pkg{dir: dir, nested: slices.ContainsFunc(nested, inside)}
			byDir[dir] = p
			dirs = append(dirs, dir)
		}
		p.files = append(p.files, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	pkgs := make([]pkg, 0, len(dirs))
	for _, dir := range dirs {
		pkgs = append(pkgs, *byDir[dir])
	}
	return pkgs, nil
})

func readFile(name, below string) (file, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return file{}, err
	}
	tree, err := parser.ParseFile(token.NewFileSet(), below, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	f := file{
		name:  below,
		test:  strings.HasSuffix(below, "_test.go"),
		doc:   tree.Doc != nil,
		lines: bytes.Count(text, []byte("\n")),
		tree:  tree,
	}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, imported)
	}
	return f, nil
}
