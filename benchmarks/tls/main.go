// Command tls compares echo servers over TLS 1.3: CPU time per request as a ratio to package net with
// crypto/tls, and memory per idle connection. README.md in the folder above says what the figures mean.
//
//	go run ./tls [--rounds 6] [--slice 500ms] [--only PART,...] [--json]
//
// It starts programs of its own only, on the loopback interface only, and ends them by process ID, also
// when it is interrupted.
package main

import "github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/compare"

func main() {
	compare.Benchmark{
		Servers: []compare.Server{
			{Name: "net+tls", Dir: "peers/nettls"},
			{Name: "eventdispatcher", Dir: "tls/server", Ours: true},
		},
		Scenarios: []compare.Scenario{
			{Name: "1", Conns: 1, Size: 64, Depth: 1, Target: 0.80},
			{Name: "100", Conns: 100, Size: 64, Depth: 1, Target: 1.0},
			{Name: "deep", Conns: 100, Size: 64, Depth: 16, Target: 1.0},
			{Name: "records", Conns: 100, Size: 64, Depth: 16, Load: []string{"-r"}},
			{Name: "16k", Conns: 100, Size: 16 << 10, Depth: 1, Target: 1.0},
		},
		Generator:  "tls/load",
		Idle:       2000,
		IdleTarget: 12_000,
	}.Main()
}
