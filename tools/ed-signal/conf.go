package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
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

// readConf reads a configuration file.
func readConf(file string) (*conf, error) {
	text, err := readFile(file, maxConf)
	if err != nil {
		return nil, err
	}
	return parseConf(file, text)
}

// readFile reads a file, but no more than a byte beyond the limit, which tells that there is more.
func readFile(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit+1))
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
// programs. What no text file has is a *confError: a NUL byte, a line or a file beyond the limits.
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
				c.variables = append(c.variables, variable{section + name, unquote(strings.Trim(value, blanks)), number})
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

// unquote removes the quotes around a value.
func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : n-1]
	}
	return s
}

// lookup returns the value of a variable, the last one when there are several of that name.
func (c *conf) lookup(name string) (value string, found bool) {
	name = confName(name)
	for _, v := range c.variables {
		if v.name == name {
			value, found = v.value, true
		}
	}
	return value, found
}
