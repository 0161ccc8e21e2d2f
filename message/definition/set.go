package definition

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

const extension = ".conf"

// maxFileSize is the most bytes of a file. A definition has some hundred.
const maxFileSize = 1 << 20

// builtIn holds the definitions of the commands that dispatcher.Mux.AddDefaults handles, of their replies, and of
// REGISTER and UNREGISTER.
//
//go:embed messages/*.conf
var builtIn embed.FS

// Config says which definitions to load. Its zero value is the built-in ones.
type Config struct {
	// Path is the folders with the files of the definitions, separated by colons. A command's definition is the first
	// file found, else the one that is built in, for the commands that every service knows.
	Path string
	// Closed refuses parameters that are not listed, in all commands that have a definition, the built-in ones included.
	// Commands without one it does not refuse: a dispatcher answers those that nobody handles.
	Closed bool
}

// Set is the definitions of the commands of a service; the zero Set has none, and neither has a nil *Set. It may be used
// by several goroutines at once, as long as none adds to it.
type Set struct {
	definitions map[string]*Definition
	closed      bool
}

// Load reads the definitions: all files of the folders, at once, so that what is wrong shows when the program starts. The
// error joins whatever is wrong with folders and files, mostly as [*FileError]; a folder that is not there is an
// error too.
func Load(config Config) (*Set, error) {
	set := &Set{definitions: map[string]*Definition{}, closed: config.Closed}
	var problems []error
	folders, err := split(config.Path)
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		files, err := os.ReadDir(folder)
		if err != nil {
			problems = append(problems, fmt.Errorf("definition: %w", err))
			continue
		}
		for _, f := range files {
			command, found := strings.CutSuffix(f.Name(), extension)
			if found && command != "" && command[0] != '.' && set.definitions[command] == nil {
				d, err := ReadFile(filepath.Join(folder, f.Name()))
				if err != nil {
					problems = append(problems, err)
					d = &Definition{} // the next folder's does not replace it
				}
				set.definitions[command] = d
			}
		}
	}
	if err := set.addBuiltIn(); err != nil {
		problems = append(problems, err)
	}
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	return set, nil
}

// split returns the folders of a path. An empty one is an error: the current folder would be a surprise.
func split(path string) (folders []string, err error) {
	folders = filepath.SplitList(path)
	if slices.Contains(folders, "") {
		return nil, fmt.Errorf("definition: an empty folder in the path %q", path)
	}
	return folders, nil
}

func (s *Set) addBuiltIn() error {
	return fs.WalkDir(builtIn, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		command := strings.TrimSuffix(entry.Name(), extension)
		if s.definitions[command] != nil {
			return nil
		}
		text, err := builtIn.ReadFile(path)
		if err != nil {
			return err
		}
		s.definitions[command], err = Parse(command, path, text)
		return err
	})
}

// ReadFile reads the definition of a command from a file, COMMAND.conf or COMMAND, of 1 MiB at most. The error is that of
// [Parse], or says why the file can't be read.
func ReadFile(name string) (*Definition, error) {
	info, err := os.Stat(name) // first: opening a FIFO would wait for ever
	if err != nil {
		return nil, fmt.Errorf("definition: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &FileError{File: name, Reason: "not a regular file"}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("definition: %w", err)
	}
	defer f.Close() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("definition: %w", err)
	}
	if len(text) > maxFileSize {
		return nil, &FileError{File: name, Reason: fmt.Sprintf("longer than %d bytes", maxFileSize)}
	}
	return Parse(strings.TrimSuffix(filepath.Base(name), extension), name, text)
}

// Find returns the file with the definition of a command: the first one in the folders of path, which are separated by
// colons; what is built in is not a file. The error is message.ErrName, fs.ErrNotExist when there is none, or says why
// a folder can't be searched.
func Find(path, command string) (file string, err error) {
	if err := message.New(command).Err(); err != nil {
		return "", fmt.Errorf("definition: %w", err)
	}
	folders, err := split(path)
	if err != nil {
		return "", err
	}
	for _, folder := range folders {
		file = filepath.Join(folder, command+extension)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("definition: %w", err)
		}
	}
	return "", fmt.Errorf("definition: no %s%s in %q: %w", command, extension, path, fs.ErrNotExist)
}

// Add adds a copy of a definition made by the program, instead of one of the same command. It fails when a name is no name
// or is there twice, when there is no such type, and when a parameter is both required and forbidden.
func (s *Set) Add(d *Definition) error {
	if err := d.validate(); err != nil {
		return err
	}
	if s.definitions == nil {
		s.definitions = map[string]*Definition{}
	}
	c := *d
	c.Parameters, c.Ignored = slices.Clone(d.Parameters), slices.Clone(d.Ignored)
	s.definitions[d.Command] = &c
	return nil
}

// Lookup returns the definition of a command. It must not be changed.
func (s *Set) Lookup(command string) (d *Definition, found bool) {
	if s == nil {
		return nil, false
	}
	d, found = s.definitions[command]
	return d, found
}

// Commands returns the commands that have a definition, sorted.
func (s *Set) Commands() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.definitions))
}

// Ignored returns the keys of all files that mean nothing, and may be misspelt, for a program to log when it starts.
func (s *Set) Ignored() []*FileError {
	var all []*FileError
	for _, command := range s.Commands() {
		all = append(all, s.definitions[command].Ignored...)
	}
	return all
}

// Check returns nil, or an [*Error] with all that is wrong with the parameters of m. A command without a definition is
// right.
func (s *Set) Check(m *message.Message) error {
	d, found := s.Lookup(m.Command())
	if !found {
		return nil
	}
	return d.check(m, d.Closed || s.closed)
}
