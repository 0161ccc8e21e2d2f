package definition

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// Parse reads a definition in the format that the package documentation describes. The name of the file is for the error,
// a [*ParseError] with a [*FileError] for each thing that is wrong, or a hundred.
//
// What the C++ library would silently ignore is an error: lines that are neither a section nor a key nor a comment, keys
// in front of the first section, sections without a key, and names of sections that no parameter can have.
func Parse(command, file string, text []byte) (*Definition, error) {
	r := confReader{file: file, sections: map[string]*section{}}
	if err := message.New(command).Err(); err != nil {
		r.fail(0, "%.64q is not the name of a command", command)
	}
	content, marked := strings.CutPrefix(string(text), "\ufeff")
	if marked {
		r.fail(1, "a byte order mark")
	}
	for line := range strings.Lines(content) {
		r.line++
		r.read(strings.Trim(line, blanks))
		if len(r.problems) >= maxProblems {
			r.fail(r.line, "too many problems")
			break
		}
	}
	return r.definition(command)
}

// maxProblems is after how many a file is not read on: it is of another kind.
const maxProblems = 100

const blanks = " \t\n\v\f\r"

// section is what the sections of one name say.
type section struct {
	Parameter
	line  int // of the first one
	keyed bool
}

type confReader struct {
	file     string
	line     int
	problems []*FileError
	ignored  []*FileError
	sections map[string]*section
	current  *section // nil in front of the first one, and in one with a bad name
	outside  bool     // in a section with a bad name
}

func (r *confReader) fail(line int, format string, args ...any) {
	r.problems = append(r.problems, &FileError{File: r.file, Line: line, Reason: fmt.Sprintf(format, args...)})
}

// read reads a line without the blanks around it.
func (r *confReader) read(line string) {
	switch {
	case strings.IndexByte(line, '\r') >= 0:
		r.fail(r.line, "a carriage return inside a line")
	case line == "" || line[0] == '#' || line[0] == ';':
	case line[0] == '[':
		r.openSection(line)
	default:
		key, value, found := strings.Cut(line, "=")
		if key = strings.TrimRight(key, blanks); !found || key == "" {
			r.fail(r.line, "neither [parameter] nor key=value nor a comment")
			if r.current != nil {
				r.current.keyed = true // it was to have one
			}
			return
		}
		r.setKey(key, unquote(strings.TrimLeft(value, blanks)))
	}
}

func (r *confReader) openSection(line string) {
	r.current, r.outside = nil, true
	name, rest, found := strings.Cut(line[1:], "]")
	if !found || rest != "" {
		r.fail(r.line, "not a section: [parameter]")
		return
	}
	written := strings.Trim(name, blanks)
	name = strings.ReplaceAll(written, "-", "_")
	if message.New("X").Set(name, "").Err() != nil || len(name) > message.DefaultMaxName {
		r.fail(r.line, "%.64q is not the name of a parameter", written)
		return
	}
	s := r.sections[name]
	if s == nil {
		s = &section{Parameter: Parameter{Name: name, Required: true, Empty: true}, line: r.line}
		r.sections[name] = s
	}
	r.current = s
}

func (r *confReader) setKey(key, value string) {
	s := r.current
	if s == nil {
		if !r.outside {
			r.fail(r.line, "key %.64q in front of the first section", key)
		}
		return
	}
	s.keyed = true
	switch key {
	case "type":
		if value == "default" {
			value = typeNames[String]
		}
		i := slices.Index(typeNames[:], value)
		if i < 0 {
			r.fail(r.line, "no such type: %.64q", value)
			return
		}
		s.Type = Type(i)
	case "flags":
		s.Required, s.Empty, s.Forbidden = false, false, false
		for flag := range strings.SplitSeq(value, ",") {
			switch flag {
			case "", "optional", "defined", "allowed":
			case "required":
				s.Required = true
			case "empty":
				s.Empty = true
			case "forbidden":
				s.Forbidden = true
			default:
				r.fail(r.line, "no such flag: %.64q", flag)
			}
		}
		if s.Required && s.Forbidden {
			r.fail(r.line, reasonContradiction)
		}
	case "description":
		s.Description = value
	default:
		if len(r.ignored) < maxProblems {
			r.ignored = append(r.ignored, &FileError{File: r.file, Line: r.line, Reason: fmt.Sprintf("key %.64q is ignored", key)})
		}
	}
}

// unquote removes the quotes around a value.
func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : n-1]
	}
	return s
}

// definition returns the result, and the problems, if there were any, instead.
func (r *confReader) definition(command string) (*Definition, error) {
	d := &Definition{Command: command, Ignored: r.ignored}
	for name, s := range r.sections {
		if !s.keyed && len(r.problems) < maxProblems {
			r.fail(s.line, "section %q has no key: the C++ library ignores it; add a type or flags", name)
		}
		d.Parameters = append(d.Parameters, s.Parameter)
	}
	slices.SortFunc(d.Parameters, func(a, b Parameter) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(r.problems, func(a, b *FileError) int { return a.Line - b.Line })
	if r.problems != nil {
		return nil, &ParseError{Problems: r.problems, Ignored: r.ignored}
	}
	return d, nil
}
