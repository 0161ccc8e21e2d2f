package dispatcher_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

// TestFloodsAreLoggedOnceASecond: what a peer can send any number of times fills no disk, and the
// log tells how much of it was left out.
func TestFloodsAreLoggedOnceASecond(t *testing.T) {
	for _, tt := range []struct {
		name, first, next string
		defaults          bool
		level             string
	}{
		{"refusals", "UNKNOWN command=FIRST", "INVALID command=NEXT;message=oops", true, "ERROR"},
		{"unhandled", "FIRST", "NEXT", false, "WARN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mux, log := quiet()
				if tt.defaults {
					if err := mux.AddDefaults(dispatcher.Service{Name: "demo"}); err != nil {
						t.Fatal(err)
					}
				}
				for range 5 {
					dispatch(t, mux, tt.first)
					dispatch(t, mux, tt.next)
				}
				if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "FIRST") || !strings.Contains(got, tt.level) {
					t.Errorf("logged %q, want the first", got)
				}
				log.Reset()
				<-time.After(time.Second)
				dispatch(t, mux, tt.next)
				if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "NEXT") || !strings.Contains(got, "omitted=9") {
					t.Errorf("logged %q, want the one of the next second, and nine left out", got)
				}
			})
		})
	}
}

// TestHandleTwicePanics: the second handler would never be called. Add, and other priorities, are
// for those who know.
func TestHandleTwicePanics(t *testing.T) {
	panics := func(f func()) (err error) {
		defer func() { err, _ = recover().(error) }()
		f()
		return nil
	}
	mux, _ := quiet()
	var called calls
	mux.Handle("PING", called.handler("first"))
	for name, again := range map[string]func(){
		"Handle":     func() { mux.Handle("PING", called.handler("second")) },
		"HandleFunc": func() { mux.HandleFunc("PING", called.handler("second").HandleMessage) },
	} {
		if err := panics(again); !errors.Is(err, dispatcher.ErrAlreadySet) || !strings.Contains(err.Error(), "PING") {
			t.Errorf("%s: panic with %v, want ErrAlreadySet and the command", name, err)
		}
	}
	mustAdd(t, mux, dispatcher.Match{Command: "PING", Handler: called.handler("added")})
	mustAdd(t, mux, dispatcher.Match{Command: "PING", Handler: called.handler("added too")})
	dispatch(t, mux, "PING") // after a panic the Mux is as it was, and not locked
	if got := called.take(); got != "first" {
		t.Errorf("called: %q", got)
	}

	mustAdd(t, mux, dispatcher.Match{Command: "LATE", Priority: dispatcher.PrioritySystem, Handler: called.handler("late")})
	if err := panics(func() { mux.Handle("LATE", called.handler("own")) }); err != nil {
		t.Errorf("a handler of another priority: panic with %v", err)
	}
	dispatch(t, mux, "LATE")
	if got := called.take(); got != "own" {
		t.Errorf("called: %q", got)
	}
}

// TestStopWithoutStop: a service that can't be stopped says so, and says no such thing otherwise, nor when a peer quits.
func TestStopWithoutStop(t *testing.T) {
	for _, command := range []string{"STOP", "QUITTING"} {
		for _, service := range []dispatcher.Service{{Name: "demo"}, {Name: "demo", Stop: func(bool) {}}} {
			mux, log := quiet()
			if err := mux.AddDefaults(service); err != nil {
				t.Fatal(err)
			}
			dispatch(t, mux, command)
			lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
			warned := slices.ContainsFunc(lines, func(line string) bool {
				return strings.Contains(line, "level=WARN") && strings.Contains(line, command) && strings.Contains(line, "service=demo")
			})
			if len(lines) != 1 || warned != (service.Stop == nil && command == "STOP") {
				t.Errorf("%s, with Stop %v: logged %q", command, service.Stop != nil, lines)
			}
		}
	}
}

// TestFloodOfOrders: what a service is told is logged once a second, and no more than the beginning of a
// message.
func TestFloodOfOrders(t *testing.T) {
	const flood = 20
	long := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name, text string
		with       bool // the functions of the service
	}{
		{"STOP", "STOP a=" + long, true},
		{"STOP", "STOP a=" + long, false},
		{"QUITTING", "QUITTING a=" + long, true},
		{"RESTART", "RESTART reason=" + long, true},
		{"RESTART", "RESTART reason=" + long, false},
		{"LOG_ROTATE", "LOG_ROTATE a=" + long, true},
		{"refused", "REFUSED a=" + long, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			mux, log := quiet()
			called := 0
			var service dispatcher.Service
			if tt.with {
				service = dispatcher.Service{
					Stop:       func(bool) { called++ },
					Restart:    func(message.Sender, *message.Message) { called++ },
					ReopenLogs: func() error { called++; return errors.New("disk full") },
				}
			}
			if err := mux.AddDefaults(service); err != nil {
				t.Fatal(err)
			}
			mux.HandleFunc("REFUSED", func(message.Sender, *message.Message) error {
				called++
				return message.BadValue("a", "too long")
			})
			parser := message.Parser{MaxSize: -1}
			m, err := parser.Parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			for range flood {
				if err := mux.HandleMessage(&wire{}, m); err != nil {
					t.Fatal(err)
				}
			}
			if got := log.String(); strings.Count(got, "\n") != 1 || len(got) > 2000 {
				t.Errorf("%s: logged %d bytes in %d lines", tt.name, len(got), strings.Count(got, "\n"))
			}
			if tt.with && called != flood {
				t.Errorf("%s: called %d times, want %d", tt.name, called, flood)
			}
			log.Reset()
			<-time.After(time.Second)
			if err := mux.HandleMessage(&wire{}, m); err != nil {
				t.Fatal(err)
			}
			if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "omitted=19") || len(got) > 2000 {
				t.Errorf("%s: a second later logged %.3000q", tt.name, got)
			}
		})
	}
}
