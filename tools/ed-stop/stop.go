//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"syscall"

	logrusslog "github.com/sirupsen/logrus/hooks/slog"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
	"github.com/eventdispatcher-go/eventdispatcher/timer"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
)

// stopper stops processes, all at once on one loop.
type stopper struct {
	*plan
	tool   *cli.Tool
	log    *slog.Logger
	proc   procfs
	search func(name string) (pids []int, err error) // in proc
	has    func(pid int, name string) bool           // in proc
	loop   *communicator.Communicator
	timers *timer.Set
}

// process is one that is stopped. A nil one is none.
type process struct {
	*stopper
	name  string // of its service, as the user has called it
	watch *procwatch.Watch
	steps []step // that are still to be done
	timer *timer.Entry
	asked *worker.Task // the message of this step; nil: it has none
	err   error        // why it isn't gone
}

// carryOut does what is planned.
func (p *plan) carryOut(tool *cli.Tool) error {
	s, err := p.prepare(tool)
	if err != nil {
		return err
	}
	defer func() { _ = s.loop.Close() }()
	return s.stopAll()
}

// prepare makes a stopper, whose loop has to be closed.
func (p *plan) prepare(tool *cli.Tool) (*stopper, error) {
	log := slog.New(logrusslog.NewHandler(tool.Log, nil))
	loop, err := communicator.New(communicator.Config{Logger: log})
	if err != nil {
		return nil, err
	}
	timers, err := timer.NewSet(loop, communicator.Options{Name: "timeouts"})
	if err != nil {
		return nil, errors.Join(err, loop.Close())
	}
	const proc = procfs("/proc")
	return &stopper{plan: p, tool: tool, log: log, proc: proc, search: proc.search, has: proc.has, loop: loop, timers: timers}, nil
}

func (s *stopper) stopAll() error {
	errs := make([]error, len(s.services)) // in the order of the services
	processes := make([]*process, len(s.services))
	for i, service := range s.services {
		processes[i], errs[i] = s.find(service)
		switch p := processes[i]; {
		case errors.Is(errs[i], errGone):
			errs[i] = nil
			s.nobody(service)
		case errors.Is(errs[i], errNobody):
			s.tool.Tell(service.text + ": " + errs[i].Error())
			errs[i] = nil
		case errs[i] != nil:
		case p == nil:
			s.log.Info("not running, nothing to stop", "service", service.text)
		case p.ended(): // also for the message: who listens at that address now isn't meant
			s.log.Info("gone", "service", p.name, "pid", p.watch.PID())
			p.release()
			processes[i] = nil
		case s.among(processes[:i], processes[i]):
			processes[i].release() // two names of one process, which gets each signal once
			processes[i] = nil
		}
	}
	for i, p := range processes {
		switch {
		case p != nil && s.dryRun:
			errs[i] = p.print()
		case p != nil:
			p.next()
		}
	}
	if !s.dryRun {
		if err := s.loop.Run(context.Background()); err != nil {
			return err
		}
		for i, p := range processes {
			if p != nil {
				errs[i] = p.err
			}
		}
	}
	return errors.Join(errs...)
}

// nobody tells of a number that no process has. That is no failure: a unit's ExecStop may come too late.
func (s *stopper) nobody(what service) {
	text := "error: No such process. Do nothing."
	if len(s.services) > 1 {
		text = what.text + ": " + text
	}
	s.tool.Tell(text)
	s.log.Info("no such process", "service", what.text)
}

func (s *stopper) among(processes []*process, p *process) bool {
	for _, other := range processes {
		if p != nil && other != nil && other.watch.PID() == p.watch.PID() && other.alive() {
			return true
		}
	}
	return false
}

// alive tells whether the process is there. One that has ended and was not waited for is as well; the loop tells of
// its end.
func (p *process) alive() bool {
	return p != nil && !errors.Is(p.watch.Signal(0), os.ErrProcessDone)
}

// ended tells whether the process has ended, also when nobody has waited for it. Where /proc doesn't tell the loop will.
func (p *process) ended() bool {
	status, err := p.proc.stat(p.watch.PID())
	return !p.alive() || err == nil && status.ended() // while it is alive nobody else has its number
}

// release lets go of the process, which is left alone.
func (p *process) release() {
	if p != nil {
		p.watch.Close()
	}
}

// print tells what would be stopped, and whether that may be done.
func (p *process) print() error {
	pid := p.watch.PID()
	_, err := fmt.Fprintln(p.tool.Stdout, cli.Printable(fmt.Sprintf("%s %d %s", p.name, pid, p.proc.command(pid))))
	if signalled := p.watch.Signal(0); signalled != nil && !errors.Is(signalled, os.ErrProcessDone) {
		err = errors.Join(err, p.refused(signalled))
	}
	return err
}

// next does the next step, or gives the process up after the last one. The time after a signal that the process ignores
// is cut short when another signal follows, unless that is SIGKILL: what ignores signals may need its time to end.
func (p *process) next() {
	for len(p.steps) > 0 {
		now := p.steps[0]
		p.steps = p.steps[1:]
		var ignored, blocked bool
		var err error
		if now.signal == askFirst {
			err = p.ask(now)
		} else {
			ignored, blocked, err = p.signal(now)
		}
		switch {
		case err != nil:
			p.giveUp(err)
			return
		case !ignored || len(p.steps) == 0 || p.steps[0].signal == sigkill:
			p.timer = p.timers.After(now.wait, func(*timer.Entry) { p.timeUp() })
			return
		case blocked:
			p.lookAgain(now)
			return
		default:
			p.skip(now)
		}
	}
	p.giveUp(p.survivor())
}

// skip says why the next step follows at once.
func (p *process) skip(now step) {
	p.log.Info("it ignores the signal, the next one follows", "service", p.name, "signal", signalName(now.signal))
}

// lookAgain is for a signal that is ignored and blocked. One that stays blocked is read by the process, which has its
// time; but programs also block all signals for moments, as when they start a thread.
func (p *process) lookAgain(now step) {
	p.timer = p.timers.After(minWait, func(*timer.Entry) {
		if ignored, blocked := p.proc.ignores(p.watch.PID(), now.signal); ignored && !blocked {
			p.skip(now)
			p.next()
			return
		}
		p.timer = p.timers.After(now.wait-minWait, func(*timer.Entry) { p.timeUp() })
	})
}

// signal does a step that is a signal, and tells whether the process ignored and blocked it when it was sent.
func (p *process) signal(now step) (ignored, blocked bool, err error) {
	pid := p.watch.PID()
	p.log.Info("sending a signal", "service", p.name, "pid", pid, "wait", now.wait, "signal", signalName(now.signal))
	ignored, blocked = p.proc.ignores(pid, now.signal)
	err = p.watch.Signal(now.signal)
	if err == nil && now.continues() {
		err = p.watch.Signal(syscall.SIGCONT)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) { // whose end the loop tells of
		return false, false, p.refused(err)
	}
	return ignored, blocked, nil
}

// survivor is the error of a process that has outlived all steps.
func (p *process) survivor() error {
	err := error(recordedError(fmt.Sprintf(`kill() had no effect on "%s" within the timeout period.`, p.name)))
	if slices.ContainsFunc(p.plan.steps, func(s step) bool { return s.signal == sigkill }) {
		return err
	}
	return errors.Join(err, fmt.Errorf("process %d still runs: with --kill it would get SIGKILL at the end", p.watch.PID()))
}

// timeUp is called when the process hasn't ended in the time of a step.
func (p *process) timeUp() {
	if p.asked != nil {
		p.asked.Cancel() // which calls next
		return
	}
	p.next()
}

// refused is the error of a signal that can't be sent.
func (p *process) refused(err error) error {
	pid := p.watch.PID()
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%q: no permission to stop process %d of user %s", p.name, pid, p.proc.owner(pid))
	}
	return fmt.Errorf("%q: process %d: %w", p.name, pid, err)
}

func (p *process) giveUp(err error) {
	p.err = err
	p.release()
}

// gone is called when the process has ended.
func (p *process) gone(*procwatch.Watch, procwatch.Event) error {
	p.log.Info("gone", "service", p.name, "pid", p.watch.PID())
	if p.timer != nil {
		p.timer.Stop()
	}
	return nil
}
