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
)

const (
	// stdinFile is the name for the standard input on the command line, stdinName the one in reports.
	stdinFile = "-"
	stdinName = "<stdin>"
	// bufferSize is how much is read and written at once, in bytes.
	bufferSize = 64 * 1024
)

// errBadLine ends the work at a line that has been reported.
var errBadLine = errors.New("bad line")

// converter reads messages and writes them in the form that the options ask for.
type converter struct {
	options
	parser message.Parser
	stdin  io.Reader
	lines  lineReader
	// out keeps the first error of writing and returns it ever after. Hence it need not be told from an
	// error of reading: a flush tells.
	out    *bufio.Writer
	stderr io.Writer
	line   []byte // to be written
	failed bool   // something was reported
}

func newConverter(o options, stdin io.Reader, stdout, stderr io.Writer) *converter {
	return &converter{
		options: o,
		parser:  message.Parser{Form: o.from, Lenient: o.lenient},
		stdin:   stdin,
		lines:   lineReader{r: bufio.NewReaderSize(nil, bufferSize), max: message.DefaultMaxSize},
		out:     bufio.NewWriterSize(stdout, bufferSize),
		stderr:  stderr,
	}
}

// convert reads the files, reports what is wrong with them and returns whether nothing was.
func (c *converter) convert(files []string) bool {
	for _, name := range files {
		err := c.file(name)
		if broken := c.out.Flush(); broken != nil {
			c.report("ed-message: %v", writeError(broken))
			return false
		}
		if err != nil && !errors.Is(err, errBadLine) {
			c.report("ed-message: %v", err)
		}
		if err != nil && !c.keepGoing {
			return false
		}
	}
	return !c.failed
}

func (c *converter) report(format string, args ...any) {
	c.failed = true
	_, _ = fmt.Fprintf(c.stderr, format+"\n", args...) // there is no other place to tell
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
		return c.read(stdinName, c.stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	return c.read(name, f)
}

// read converts what is in r. The error is errBadLine or that of r or of the output.
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
			// What was converted comes first, also where both outputs are one.
			if err := c.out.Flush(); err != nil {
				return err
			}
			c.report("%s:%d: %s", name, number, strings.TrimPrefix(err.Error(), "message: "))
			if !c.keepGoing {
				return errBadLine
			}
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
