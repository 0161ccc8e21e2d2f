package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

const (
	// stdinFile is the name for the standard input on the command line, stdinName the one in reports.
	stdinFile = "-"
	stdinName = "<stdin>"
	// bufferSize is how much is read and written at once, in bytes.
	bufferSize = 64 * 1024
)

// lineError is a line that is bad.
type lineError struct {
	file   string
	number int
	err    error
}

func (e *lineError) Error() string {
	return fmt.Sprintf("%s:%d: %s", e.file, e.number, strings.TrimPrefix(e.err.Error(), "message: "))
}

func (e *lineError) Unwrap() error { return e.err }

// placed tells errors that begin with the file and the line.
func placed(err error) bool {
	line := (*lineError)(nil)
	return errors.As(err, &line)
}

// converter reads messages and writes them in the form that the options ask for.
type converter struct {
	options
	tool   *cli.Tool
	parser message.Parser
	lines  lineReader
	// out keeps the first error of writing and returns it ever after. Hence it need not be told from an
	// error of reading: a flush tells.
	out  *bufio.Writer
	line []byte // to be written
}

func newConverter(o options, tool *cli.Tool) *converter {
	return &converter{
		options: o,
		tool:    tool,
		parser:  message.Parser{Form: o.from, Lenient: o.lenient},
		lines:   lineReader{r: bufio.NewReaderSize(nil, bufferSize), max: message.DefaultMaxSize},
		out:     bufio.NewWriterSize(tool.Stdout, bufferSize),
	}
}

// convert reads the files. It returns what ended the work, and has reported what didn't.
func (c *converter) convert(files []string) error {
	for _, name := range files {
		c.tool.Log.WithField("file", name).Debug("reading messages")
		err := c.file(name)
		if broken := c.out.Flush(); broken != nil {
			return writeError(broken)
		}
		if err != nil && !c.keepGoing {
			return err
		}
		c.tool.Report(err)
	}
	return nil
}

// writeError says that it was the output that failed. The name of the file is no help: the user gave none.
func writeError(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	return fmt.Errorf("write: %w", err)
}

// file converts what is in a file.
func (c *converter) file(name string) error {
	if name == stdinFile {
		return c.read(stdinName, c.tool.Stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	return c.read(name, f)
}

// read converts what is in r. The error is a *lineError, or that of r or of the output.
func (c *converter) read(name string, r io.Reader) error {
	c.lines.reset(flushing{r, c.out})
	for number := 1; ; number++ {
		line, err := c.lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.message(line); err != nil {
			err = &lineError{name, number, err}
			if !c.keepGoing {
				return err
			}
			// What was converted comes first, also where both outputs are one.
			if err := c.out.Flush(); err != nil {
				return err
			}
			c.tool.Report(err)
			c.line = c.line[:0]
		}
		if c.check {
			continue
		}
		c.line = append(c.line, '\n')
		if _, err := c.out.Write(c.line); err != nil {
			return err
		}
	}
}

// message makes c.line what a line is to become.
func (c *converter) message(line []byte) error {
	c.line = c.line[:0]
	m, err := c.parser.ParseBytes(line)
	if errors.Is(err, message.ErrEmpty) {
		return nil
	}
	if err != nil || c.check && c.to == message.FormAuto {
		return err
	}
	to := c.to
	if to == message.FormAuto {
		to = otherForm(c.from, line)
	}
	if to == message.FormJSON {
		c.line, err = m.AppendJSON(c.line, message.JSONOptions{Numbers: c.numbers})
	} else {
		c.line, err = m.AppendText(c.line)
	}
	return err
}

// otherForm returns the form that a message, read as one of the form from, does not have.
func otherForm(from message.Form, line []byte) message.Form {
	if from == message.FormAuto {
		from = message.FormOf(line)
	}
	if from == message.FormJSON {
		return message.FormText
	}
	return message.FormJSON
}

// flushing writes what waits in out before each read, which may block.
type flushing struct {
	io.Reader
	out *bufio.Writer
}

func (f flushing) Read(p []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.Reader.Read(p)
}
