// Command echo compares echo servers: CPU time per request as a ratio to a C
// server, latency, rate, and memory per idle connection. README.md in the folder
// above says what the figures mean.
//
//	go run ./echo [--rounds 6] [--slice 500ms] [--only PART,...] [--json]
//
// It starts programs of its own only, on the loopback interface only, and ends
// them by process ID, also when it is interrupted.
package main

import "github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/compare"

func main() {
	compare.Benchmark{
		Servers: []compare.Server{
			{Name: "c-epoll", C: "echo"},
			{Name: "eventdispatcher", Dir: "../examples/echo", Args: []string{"--tcp", "127.0.0.1:0"}, Ours: true},
			{Name: "net", Dir: "peers/net"},
			{Name: "netpoll", Dir: "peers/netpoll"},
		},
		Scenarios: []compare.Scenario{
			{Name: "a", Conns: 1, Size: 64, Depth: 1, Target: 1.15},
			{Name: "a-spin", Conns: 1, Size: 64, Depth: 1, Spin: true},
			{Name: "b", Conns: 100, Size: 64, Depth: 1, Target: 1.05},
			{Name: "c", Conns: 1000, Size: 1024, Depth: 16, Target: 1.05},
		},
		Idle:       5000,
		IdleTarget: 400,
	}.Main()
}
