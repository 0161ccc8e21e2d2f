//go:build linux

package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSteps(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		options options
		want    []step
	}{
		{options{timeout: defaultTimeout}, []step{{syscall.SIGINT, 60 * s}, {syscall.SIGTERM, 10 * s}}},
		{options{timeout: s, kill: true}, []step{{syscall.SIGINT, s}, {syscall.SIGTERM, 10 * s}, {syscall.SIGKILL, 10 * s}}},
		{options{timeout: s, message: "x"}, []step{{askFirst, s}, {syscall.SIGINT, s}, {syscall.SIGTERM, 10 * s}}},
		{options{timeout: s, signals: "TERM:5,quit,34:200ms"}, []step{{syscall.SIGTERM, 5 * s}, {syscall.SIGQUIT, s}, {34, 200 * time.Millisecond}}},
		{options{timeout: s, signals: "SIGHUP", kill: true, message: "x"}, []step{{askFirst, s}, {syscall.SIGHUP, s}, {syscall.SIGKILL, 10 * s}}},
	} {
		if got, err := tt.options.steps(); !slices.Equal(got, tt.want) || err != nil {
			t.Errorf("%+v: got %v, %v, want %v", tt.options, got, err, tt.want)
		}
	}
}

func TestContinues(t *testing.T) {
	stays := []string{"CONT", "KILL", "STOP", "TSTP", "TTIN", "TTOU"}
	for name, sig := range signals {
		if s := (step{signal: sig}); s.continues() == slices.Contains(stays, name) {
			t.Errorf("SIGCONT after %s: %v", name, s.continues())
		}
	}
}

func TestSignalNames(t *testing.T) {
	for _, name := range signalNames() {
		for _, text := range []string{name, "SIG" + name, strings.ToLower(name), "sig" + name} {
			sig, err := parseSignal(text)
			if err != nil || signalName(sig) != "SIG"+name {
				t.Errorf("%s: got %d, %v", text, sig, err)
			}
		}
	}
	for _, sig := range []syscall.Signal{34, 64} {
		if got := signalName(sig); got != "signal "+map[syscall.Signal]string{34: "34", 64: "64"}[sig] {
			t.Errorf("%d: got %q", sig, got)
		}
	}
}

func FuzzSequence(f *testing.F) {
	f.Add("TERM:5,QUIT:2")
	f.Add("sigint,9:1h,34:100ms")
	f.Fuzz(func(t *testing.T, list string) {
		steps, err := parseSequence(list, time.Second)
		if err != nil {
			return
		}
		if len(steps) != strings.Count(list, ",")+1 || len(steps) > maxSteps {
			t.Errorf("%q: %v", list, steps)
		}
		for _, s := range steps {
			if s.signal < 1 || s.signal > maxSignal || checkWait(s.wait) != nil {
				t.Errorf("%q: %v", list, steps)
			}
		}
	})
}
