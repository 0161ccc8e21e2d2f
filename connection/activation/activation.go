//go:build linux

package activation

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/internal/sys"
)

// firstFD is the number of the first descriptor that is handed over: SD_LISTEN_FDS_START.
const firstFD = 3

// Unnamed is the name of sockets for which the manager gives none, as sd_listen_fds_with_names(3) has
// it.
const Unnamed = "unknown"

// The variables by which the manager tells what it has handed over.
const (
	pidVariable   = "LISTEN_PID"
	countVariable = "LISTEN_FDS"
	namesVariable = "LISTEN_FDNAMES"
	pidfdVariable = "LISTEN_PIDFDID"
)

// Socket is a descriptor that was handed over.
type Socket struct {
	// Name is that of FileDescriptorName= in the unit, or the unit's own. Several sockets may have the
	// same one; they come in the order of the unit's file.
	Name string
	// FD is the descriptor, close-on-exec. Whoever takes it owns it.
	FD int
}

// Sockets returns the sockets that were handed to this process, in their order, and makes them
// close-on-exec. Without a service manager there are none, and no error; so it is if they were meant
// for another process, such as the shell that has started this one.
//
// It removes the variables LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PIDFDID from the
// environment, so that no child takes the sockets for its own: the second call returns none. Call it
// first thing in main, before any child is started.
//
// For variables that can't be understood, and for a descriptor that isn't open, the error is an
// *Error. No socket is returned then.
func Sockets() ([]Socket, error) {
	pid := os.Getenv(pidVariable)
	count := os.Getenv(countVariable)
	names, named := os.LookupEnv(namesVariable)
	for _, variable := range []string{pidVariable, countVariable, namesVariable, pidfdVariable} {
		_ = os.Unsetenv(variable) // it fails for impossible names only
	}
	if pid == "" || count == "" {
		return nil, nil
	}
	mine, err := number(pid)
	if err == nil && mine == 0 {
		err = ErrNumber
	}
	if err != nil {
		return nil, &Error{pidVariable, pid, err}
	}
	if mine != os.Getpid() {
		return nil, nil
	}
	n, err := number(count)
	if err != nil {
		return nil, &Error{countVariable, count, err}
	}
	var sockets []Socket // grown as they turn out to be there, whatever the number says
	for fd := firstFD; fd < firstFD+n; fd++ {
		if err := sys.CloseOnExec(fd); err != nil {
			return nil, &Error{countVariable, count, err}
		}
		sockets = append(sockets, Socket{Name: Unnamed, FD: fd})
	}
	if !named || n == 0 && names == "" {
		return sockets, nil
	}
	list := strings.Split(names, ":")
	if len(list) != n {
		return nil, &Error{namesVariable, names, ErrNames}
	}
	for i, name := range list {
		sockets[i].Name = name
	}
	return sockets, nil
}

// number reads a decimal number from 0 to the largest descriptor.
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && n > math.MaxInt32-firstFD:
		return 0, ErrRange
	case err != nil:
		return 0, ErrNumber
	}
	return int(n), nil
}
