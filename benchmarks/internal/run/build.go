// Package run is what the benchmark runners share: it builds the programs,
// starts them pinned to a CPU, reads what they cost and ends them. It measures
// other processes; a benchmark inside one process needs only package testing.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Programs builds the programs of the benchmarks into a temporary folder.
type Programs struct {
	root string // the benchmarks module
	bin  string
}

// NewPrograms makes the temporary folder. Close removes it.
func NewPrograms(ctx context.Context) (*Programs, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOMOD: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	if _, err := os.Stat(filepath.Join(root, "c", "load.c")); err != nil {
		return nil, errors.New("this is to be run inside the folder benchmarks")
	}
	bin, err := os.MkdirTemp("", "ed-bench-")
	if err != nil {
		return nil, err
	}
	return &Programs{root: root, bin: bin}, nil
}

// Close removes the temporary folder.
func (p *Programs) Close() error { return os.RemoveAll(p.bin) }

// Path returns a path in the temporary folder for a Unix socket; names that differ
// give paths that differ.
func (p *Programs) Path(name string) string { return filepath.Join(p.bin, name+".sock") }

// C builds c/NAME.c and returns the path of the program.
func (p *Programs) C(ctx context.Context, name string) (string, error) {
	return p.CFile(ctx, filepath.Join("c", name+".c"))
}

// CFile builds a program of one C file, which is relative to the benchmarks module, with the libraries (-lNAME) that
// it needs besides, and returns the path of the program.
func (p *Programs) CFile(ctx context.Context, file string, libraries ...string) (string, error) {
	out := filepath.Join(p.bin, "c-"+strings.TrimSuffix(filepath.Base(file), ".c"))
	return out, p.build(ctx, p.root, append([]string{"gcc", "-O2", "-o", out, file}, libraries...)...)
}

// HasHeader tells whether a C program can include that header.
func (p *Programs) HasHeader(ctx context.Context, header string) bool {
	return p.build(ctx, p.root, "gcc", "-fsyntax-only", "-x", "c", "-include", header, "/dev/null") == nil
}

// Go builds the command in dir, which is relative to the benchmarks module and
// may belong to another module, and returns the path of the program.
func (p *Programs) Go(ctx context.Context, dir string) (string, error) {
	out := filepath.Join(p.bin, "go-"+strings.NewReplacer("/", "-", ".", "").Replace(dir))
	return out, p.build(ctx, filepath.Join(p.root, dir), "go", "build", "-o", out, ".")
}

func (p *Programs) build(ctx context.Context, dir string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}
