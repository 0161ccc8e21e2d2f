//go:build linux

// Package inspect shows what a loop is doing: a listing of its sources as text, the same figures for
// expvar, a trace of its callbacks in the log, and names in CPU profiles.
//
//	inspect.OnSignal(loop, os.Stderr, syscall.SIGUSR1)             // kill -USR1 prints the listing
//	mux.AddDefaults(dispatcher.Service{Status: inspect.Status(loop)}) // and so does the message STATUS
//	expvar.Publish("loop", inspect.NewVar(loop))                   // /debug/vars
//	loop.SetObserver(inspect.Trace(loop.Logger()))                 // each callback in the log
//	loop.SetObserver(inspect.Labels(ctx))                          // each source in CPU profiles
//
// It is for people and for monitoring. A program that wants to act on these figures reads
// [communicator.Communicator.Stats] and [communicator.Communicator.Sources].
package inspect
