package run

import (
	"fmt"
	"os"
)

// Progress overwrites the last line of a terminal on standard error; elsewhere it
// prints nothing. An empty text clears the line.
func Progress(format string, args ...any) {
	if info, err := os.Stderr.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	fmt.Fprintf(os.Stderr, format, args...)
}
