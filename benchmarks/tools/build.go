package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

const module = "github.com/eventdispatcher-go/eventdispatcher"

// truth is the program that does nothing and has no runtime to start.
const truth = "/bin/true"

// empty is the name of the Go program that does nothing: the one that the others are compared with.
const empty = "empty Go program"

// program is what is measured, and how often.
type program struct {
	name    string
	tool    bool // of this project
	path    string
	size    int64 // bytes
	dynamic bool  // linked with the C library
	jobs    []job
}

// bench is what has been built.
type bench struct {
	dir      string // all of it; the jobs run here
	start    string // the program of c/start.c
	cgo      string // CGO_ENABLED
	programs []program
	missing  []string // tools that this project doesn't have
}

// newBench makes the folder for all that follows. close removes it.
func newBench() (*bench, error) {
	dir, err := os.MkdirTemp("", "ed-tools-")
	if err != nil {
		return nil, err
	}
	return &bench{dir: dir, start: filepath.Join(dir, "start")}, nil
}

func (b *bench) close() error { return os.RemoveAll(b.dir) }

// build builds the programs, and writes what they read.
func (b *bench) build(ctx context.Context, only run.Only) error {
	if err := writeFiles(b.dir); err != nil {
		return err
	}
	out, err := b.command(ctx, "", "go", "list", "-m", "-f", "{{.Dir}}\n{{.GoVersion}}", module)
	if err != nil {
		return err
	}
	root, goVersion, _ := strings.Cut(out, "\n")
	if b.cgo, err = b.command(ctx, "", "go", "env", "CGO_ENABLED"); err != nil {
		return err
	}
	source := filepath.Join(root, "benchmarks", "tools", "c", "start.c")
	if _, err := b.command(ctx, "", "gcc", "-O2", "-o", b.start, source); err != nil {
		return err
	}
	base, err := b.buildEmpty(ctx, goVersion)
	if err != nil {
		return err
	}
	b.programs = []program{{name: truth, path: truth, jobs: []job{{}}}, {name: empty, path: base, jobs: []job{{}}}}
	if err := b.buildTools(ctx, root, only); err != nil {
		return err
	}
	for i := range b.programs {
		if err := b.programs[i].look(); err != nil {
			return err
		}
	}
	return nil
}

// buildEmpty builds the program that does nothing, for the version of the language that the tools are written in, since
// the defaults of the runtime depend on that.
func (b *bench) buildEmpty(ctx context.Context, goVersion string) (path string, err error) {
	folder := filepath.Join(b.dir, "empty")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", err
	}
	for name, text := range map[string]string{
		"go.mod":  "module empty\n\ngo " + goVersion + "\n",
		"main.go": "package main\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	path = filepath.Join(folder, "empty")
	return path, b.goBuild(ctx, folder, path, ".")
}

// buildTools builds the tools that are there.
func (b *bench) buildTools(ctx context.Context, root string, only run.Only) error {
	var folders []string
	for _, t := range tools {
		if !only.Wants(t.name, toolNames()) {
			continue
		}
		_, err := os.Stat(filepath.Join(root, "tools", t.name))
		if errors.Is(err, fs.ErrNotExist) {
			b.missing = append(b.missing, t.name)
			continue
		} else if err != nil {
			return err
		}
		folders = append(folders, "./tools/"+t.name)
		b.programs = append(b.programs, program{
			name: t.name, tool: true, path: filepath.Join(b.dir, "bin", t.name), jobs: []job{version, t.job},
		})
	}
	if len(folders) == 0 {
		return fmt.Errorf("none of the tools is there: %s", strings.Join(b.missing, ", "))
	}
	return b.goBuild(ctx, root, filepath.Join(b.dir, "bin")+"/", folders...)
}

// goBuild builds as for a release. Version stamps are left out: they fail in a checkout that belongs to another user.
func (b *bench) goBuild(ctx context.Context, dir, out string, packages ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", out}, packages...)
	_, err := b.command(ctx, dir, "go", args...)
	return err
}

// stopLimit is how long a build that was interrupted may take to end what it has started.
const stopLimit = 5 * time.Second

// command runs a program in a folder, and returns what it printed.
func (b *bench) command(ctx context.Context, dir, name string, args ...string) (stdout string, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+b.dir) // what the go command and gcc leave behind when interrupted
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopLimit
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
}

// look reads what can be told from the file of the program.
func (p *program) look() error {
	info, err := os.Stat(p.path)
	if err != nil {
		return err
	}
	p.size = info.Size()
	file, err := elf.Open(p.path)
	if err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	defer file.Close()
	p.dynamic = slices.ContainsFunc(file.Progs, func(s *elf.Prog) bool { return s.Type == elf.PT_INTERP })
	return nil
}
