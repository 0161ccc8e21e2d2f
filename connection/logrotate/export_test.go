//go:build linux

package logrotate

import "os"

// ReopenAfter is Reopen that calls opened when it has opened the file, and not yet taken it into use.
func (f *File) ReopenAfter(opened func()) error {
	return f.reopen(func(name string, mode os.FileMode) (*output, error) {
		out, err := open(name, mode)
		opened()
		return out, err
	})
}
