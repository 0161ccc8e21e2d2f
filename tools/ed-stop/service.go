//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
)

const (
	// tries is how often a process is looked for again that has gone, or is another, by the time it is held.
	tries = 3
	// maxListed is how many processes of one name are listed.
	maxListed = 20
)

var (
	// errGone: the number is nobody's.
	errGone = errors.New("no such process")
	// errNobody: no process has the name.
	errNobody = errors.New("no such process: nothing to stop")
)

// service is what is to be stopped: a number or a name.
type service struct {
	text string // as it was written; empty: nothing is to be stopped
	pid  int    // 0: text is a name
}

func parseService(text string) (service, error) {
	digits := strings.TrimLeft(text, "+-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return service{text: text}, nil
	}
	pid, err := strconv.Atoi(digits)
	if err != nil {
		pid = math.MaxInt // more than the kernel counts
	}
	if pid == 0 || digits != text {
		return service{}, recordedError(fmt.Sprintf("error: --service %s is not valid.", text))
	}
	return service{text, pid}, checkPID(pid)
}

// checkPID refuses the processes that nobody means to stop.
func checkPID(pid int) error {
	switch pid {
	case 1:
		return errors.New("process 1 is not stopped: it is the system, or all of a container")
	case os.Getpid():
		return fmt.Errorf("process %d is not stopped: it is ed-stop itself", pid)
	}
	return nil
}

// find returns the process of a service, held, or nil if it isn't running. The error is errGone for a number that no
// process has, and errNobody for a name.
func (s *stopper) find(what service) (*process, error) {
	switch {
	case what.text == "":
		return nil, nil
	case what.pid != 0:
		return s.hold(what.text, what.pid)
	case s.processNames && strings.Contains(what.text, "/"): // no unit that has processes is called so
		return s.byProcessName(what.text)
	}
	p, failed := s.byUnit(what.text)
	unavailable := (*systemctlError)(nil)
	switch missing := errors.As(failed, &unavailable); {
	case missing && !s.processNames:
		return nil, fmt.Errorf("%w; with --process-name it may be that of a process", failed)
	case missing:
		s.log.Info("systemctl did not answer", "unit", unavailable.unit, "why", unavailable.why)
	case !s.processNames || p != nil || failed != nil:
		return p, failed
	}
	p, err := s.byProcessName(what.text)
	if errors.Is(err, errNobody) && unavailable != nil && !unavailable.missing {
		return nil, failed // there may well be a unit
	}
	return p, err
}

// byUnit returns the main process of a unit, nil if it has none. Between systemd's answer and the moment that the
// process is held its number may have gone to another, so systemd is asked once more.
func (s *stopper) byUnit(unit string) (*process, error) {
	pid, err := mainPID(unit, systemctlTime)
	for range tries {
		if err != nil || pid == 0 {
			return nil, err
		}
		p, holding := s.hold(unit, pid)
		if holding != nil && !errors.Is(holding, errGone) {
			return nil, holding
		}
		before := pid
		if pid, err = mainPID(unit, systemctlTime); err == nil && pid == before && p.alive() {
			return p, nil
		}
		p.release()
	}
	if err != nil || pid == 0 {
		return nil, err
	}
	return nil, fmt.Errorf("%q: the process that systemd names is gone or another at each look, %d at last", unit, pid)
}

// byProcessName returns the one process of that name, or of the program of that path. The error is errNobody if there is
// none.
func (s *stopper) byProcessName(text string) (*process, error) {
	name := text
	if strings.Contains(text, "/") {
		name = realPath(text)
	}
	for range tries {
		pids, err := s.search(name)
		if err != nil {
			return nil, err
		}
		switch {
		case len(pids) == 0:
			return nil, errNobody
		case len(pids) > 1:
			return nil, s.ambiguous(text, pids)
		}
		p, err := s.hold(text, pids[0])
		if err != nil && !errors.Is(err, errGone) {
			return nil, err
		}
		// As long as it is alive, what /proc says is of this process and no other.
		if p != nil && s.has(pids[0], name) && p.alive() {
			return p, nil
		}
		p.release()
	}
	return nil, fmt.Errorf("%q: the processes of that name come and go", text)
}

// realPath is the path of a file as /proc has it, or the text where there is no such file any more.
func realPath(text string) string {
	path, err := filepath.Abs(text)
	if err != nil {
		return text
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}

// ambiguous is an error of several lines, with the processes of one name.
func (s *stopper) ambiguous(name string, pids []int) error {
	errs := []error{fmt.Errorf("%q is the name of %d processes, give the number of one", name, len(pids))}
	for i, pid := range pids {
		if i == maxListed {
			errs = append(errs, fmt.Errorf("  and %d more", len(pids)-i))
			break
		}
		errs = append(errs, fmt.Errorf("  %s", s.proc.describe(pid)))
	}
	return errors.Join(errs...)
}

// hold gets a pidfd of a process, which stands for it and for no other from then on. The error is errGone when there is
// none.
func (s *stopper) hold(name string, pid int) (*process, error) {
	if err := checkPID(pid); err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	p := &process{stopper: s, name: name, steps: s.steps}
	var err error
	p.watch, err = procwatch.PID(s.loop, pid, p.gone, procwatch.Options{})
	switch {
	case errors.Is(err, procwatch.ErrNoProcess):
		return nil, errGone
	case errors.Is(err, procwatch.ErrThread):
		return nil, fmt.Errorf("%d is the number of a thread, not of a process", pid)
	case err != nil:
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	if status, err := s.proc.stat(pid); err == nil && status.kernel && p.alive() {
		p.release()
		return nil, fmt.Errorf("process %d is not stopped: it is a thread of the kernel, %s", pid, status.comm)
	}
	return p, nil
}
