// Command unix compares echo servers over a Unix stream socket: CPU time per request as a ratio to a C
// server. README.md in the folder above says what the figures mean.
//
//	go run ./unix [--rounds 6] [--slice 500ms] [--json]
//
// It starts programs of its own only, on sockets in a temporary folder only, and ends them by process
// ID, also when it is interrupted.
package main

import "github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/compare"

func main() {
	compare.Benchmark{
		Servers: []compare.Server{
			{Name: "c-epoll", C: "echo", Args: []string{"-u"}, Unix: true},
			{Name: "eventdispatcher", Dir: "../examples/echo", Args: []string{"--unix"}, Unix: true, Ours: true},
		},
		Scenarios: []compare.Scenario{{Name: "100", Conns: 100, Size: 64, Depth: 1, Target: 1.10}},
	}.Main()
}
