//go:build linux

package pressure

import (
	"errors"
	"fmt"
	"io/fs"
)

var (
	// ErrUnsupported is returned where nothing tells of pressure: a kernel without PSI, or one that was started with
	// psi=0, or a file that isn't about pressure. errors.Is(err, errors.ErrUnsupported) holds. A cgroup that doesn't
	// exist, or whose cgroup.pressure is off, has no such file: fs.ErrNotExist.
	ErrUnsupported = fmt.Errorf("pressure: nothing tells of it: %w", errors.ErrUnsupported)
	// ErrConfig is returned by Watch for times that the kernel doesn't take: see Config.
	ErrConfig = errors.New("pressure: the kernel takes no such stall and window")
	// ErrPriority is returned by Watch for an urgent source: see Config.Options.
	ErrPriority = errors.New("pressure: the priority must not be below 0")
	// ErrGone is the cause when the cgroup that was watched has been removed, or its cgroup.pressure switched off;
	// errors.Is(err, fs.ErrNotExist) holds.
	ErrGone = fmt.Errorf("pressure: what was watched has gone, or was switched off: %w", fs.ErrNotExist)
	// ErrFormat is returned by Parse for a text that isn't that of a pressure file.
	ErrFormat = errors.New("pressure: malformed figures")
)
