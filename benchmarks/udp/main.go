// Command udp compares echo servers over UDP: CPU time per request as a ratio to a C server. README.md
// in the folder above says what the figures mean.
//
//	go run ./udp [--rounds 6] [--slice 500ms] [--only PART,...] [--json]
//
// It starts programs of its own only, on the loopback interface only, and ends them by process ID, also
// when it is interrupted.
package main

import "github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/compare"

func main() {
	datagrams := []string{"-D"}
	compare.Benchmark{
		Servers: []compare.Server{
			{Name: "c-epoll", C: "udp"},
			{Name: "eventdispatcher", Dir: "udp/server", Ours: true},
			{Name: "batched", Dir: "udp/server", Args: []string{"--batch"}, Ours: true},
		},
		Scenarios: []compare.Scenario{
			{Name: "1", Conns: 1, Size: 64, Depth: 1, Load: datagrams, Target: 1.25},
			{Name: "1-spin", Conns: 1, Size: 64, Depth: 1, Spin: true, Load: datagrams},
			{Name: "50", Conns: 50, Size: 64, Depth: 1, Load: datagrams, Target: 1.05},
		},
	}.Main()
}
