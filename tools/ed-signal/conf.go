package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
)

// The limits of a configuration file, in bytes.
const (
	maxConf     = 1 << 20
	maxConfLine = 64 << 10 // without the line feed
)

const blanks = " \t\v\f\r\n"

// variable is what a line of a configuration file sets.
type variable struct {
	name  string // by confName, with the section in front: section::name
	value string
	line  int
	wrong string // what is wrong with the value, if anything is
}

// confError says what is wrong with a configuration file.
type confError struct {
	file   string
	line   int // 0: the file as a whole
	reason string
}

func (e *confError) Error() string {
	if e.line == 0 {
		return e.file + ": " + e.reason
	}
	return fmt.Sprintf("%s:%d: %s", e.file, e.line, e.reason)
}

// conf is a configuration file.
type conf struct {
	file      string
	variables []variable
	stray     int // the first line that sets nothing and is no comment either; 0: there is none
}

// readConf reads a configuration file, unless ctx ends first.
func readConf(ctx context.Context, file string) (*conf, error) {
	text, err := receiver.ReadFile(ctx, file, maxConf)
	if err != nil {
		return nil, err
	}
	return parseConf(file, text)
}

// parseConf takes a configuration file apart:
//
//	# a comment, and so is this:
//	; another one
//	name = value
//	section::name = "a value with blanks around it "
//
//	[section]
//	name = value
//
// Lines that set nothing are passed over, and so is what follows a broken [section]: these files may be those of other
// programs. So what is wrong with a value is for those who want it. What no text file has is a *confError: a NUL byte,
// a line or a file beyond the limits.
func parseConf(file string, text []byte) (*conf, error) {
	c := &conf{file: file}
	section, known := "", true
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSuffix(line, []byte("\n"))
		switch {
		case len(line) > maxConfLine:
			return nil, &confError{file, number, fmt.Sprintf("the line is longer than %d bytes", maxConfLine)}
		case bytes.IndexByte(line, 0) >= 0:
			return nil, &confError{file, number, "a NUL byte, so this is no configuration file"}
		}
		text := strings.Trim(string(line), blanks)
		if number == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // the mark of a UTF-8 file, as some editors leave it
		}
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		ok := false
		if text[0] == '[' {
			section, ok = sectionName(text)
			known = ok
		} else if name, value, found := strings.Cut(text, "="); found && known {
			if name = confName(name); name != "" {
				v := variable{name: section + name, line: number}
				v.value, v.wrong = unquote(strings.Trim(value, blanks))
				c.variables = append(c.variables, v)
				ok = true
			}
		}
		if !ok && c.stray == 0 {
			c.stray = number
		}
	}
	if len(text) > maxConf {
		return nil, &confError{file: file, reason: fmt.Sprintf("the file is longer than %d bytes", maxConf)}
	}
	return c, nil
}

// sectionName returns what [section] puts in front of the names below it.
func sectionName(text string) (prefix string, ok bool) {
	name, rest, found := strings.Cut(text[1:], "]")
	rest = strings.TrimLeft(rest, blanks)
	name = confName(name)
	if !found || name == "" || rest != "" && rest[0] != '#' && rest[0] != ';' {
		return "", false
	}
	return name + "::", true
}

// confName is a name in the spelling in which names are compared: dashes and underscores mean the same.
func confName(name string) string {
	return strings.ReplaceAll(strings.Trim(name, blanks), "_", "-")
}

// unquote removes the quotes around a value. A quote without another one is part of the value.
func unquote(s string) (value, wrong string) {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return s, ""
	}
	value, rest, closed := strings.Cut(s[1:], s[:1])
	switch {
	case !closed:
		return s, ""
	case rest != "":
		return s, "text behind the closing quote; a comment needs a line of its own"
	}
	return value, ""
}

// lookup returns the value of a variable, the last one when there are several of that name.
func (c *conf) lookup(name string) (string, error) {
	name = confName(name)
	var found *variable
	var similar []string
	for i, v := range c.variables {
		switch {
		case v.name == name:
			found = &c.variables[i]
		case lastName(v.name) == lastName(name) && len(similar) < maxSimilar && !slices.Contains(similar, v.name):
			similar = append(similar, v.name)
		}
	}
	switch {
	case found != nil && found.wrong != "":
		return "", &confError{c.file, found.line, found.wrong}
	case found != nil:
		return found.value, nil
	case similar != nil:
		return "", fmt.Errorf("%s: no variable %q; there is %s", c.file, name, strings.Join(similar, ", "))
	}
	return "", fmt.Errorf("%s: no variable %q", c.file, name)
}

// maxSimilar is how many variables an error names.
const maxSimilar = 3

// lastName is the name without its sections.
func lastName(name string) string { return name[strings.LastIndexByte(name, ':')+1:] }
