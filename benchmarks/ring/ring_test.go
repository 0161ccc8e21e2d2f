package main

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// testBench builds what the peers need.
func testBench(t *testing.T, only string) *bench {
	t.Helper()
	p, err := run.NewPrograms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	o := options{only: run.Only(only), Options: run.Options{
		Rounds: 1, Slice: 15 * time.Millisecond, Warmup: 5 * time.Millisecond, LoadCPU: 1,
	}}
	b, err := build(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	for name, why := range b.leftOut {
		t.Logf("%s is left out: %s", name, why)
	}
	return b
}

// each calls f for the peers of the scenarios that differ.
func each(t *testing.T, flow bool, f func(t *testing.T, b *bench, sc scenario, x peer)) {
	b := testBench(t, "")
	for _, sc := range scenarios() {
		if sc.flow != flow || sc.name == "1k" || sc.name == "call" {
			continue
		}
		for _, x := range b.peers {
			if sc.wants(x) {
				t.Run(sc.name+"/"+x.name, func(t *testing.T) { f(t, b, sc, x) })
			}
		}
	}
}

// TestRoundTrips and TestFlows have every peer send messages that its client checks and both ends count.
func TestRoundTrips(t *testing.T) { each(t, false, testPeer) }

func TestFlows(t *testing.T) { each(t, true, testPeer) }

func testPeer(t *testing.T, b *bench, sc scenario, x peer) {
	s, err := b.slice(t.Context(), sc, sc.placements[0], x)
	if err != nil {
		t.Fatal(err)
	}
	if s.Requests <= 0 || s.Total <= s.Requests || s.ServerCPU <= 0 || s.LoadCPU <= 0 || s.Seconds() < 0.015 || s.Seconds() > 1 {
		t.Errorf("got %+v", s)
	}
	if !sc.flow && (s.P50 <= 0 || s.P99 < s.P50 || s.Max < s.P99) || sc.flow && s.P50 != 0 {
		t.Errorf("latencies: %+v", s)
	}
}

// TestSpoiledReplies and TestSpoiledFlows hold the clients to their word: a message that is not what it has to be yields
// an error, never figures.
func TestSpoiledReplies(t *testing.T) { each(t, false, testSpoiled) }

func TestSpoiledFlows(t *testing.T) { each(t, true, testSpoiled) }

func testSpoiled(t *testing.T, b *bench, sc scenario, x peer) {
	if sc.size > 64 {
		return
	}
	x.args = append(slices.Clone(x.args), "-x", "20")
	s, err := b.slice(t.Context(), sc, sc.placements[0], x)
	if err == nil || !strings.Contains(err.Error(), "wrong bytes") && !strings.Contains(err.Error(), "a message is missing") {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestCounts refuses a slice in which the ends don't agree.
func TestCounts(t *testing.T) {
	for _, c := range []struct {
		served string
		flow   bool
		ok     bool
	}{
		{`{"served":100}`, false, true},
		{`{"served":101}`, false, false},
		{`{"served":99}`, false, false},
		{`{"served":101}`, true, true},
		{`{"served":99}`, true, false},
		{`{}`, true, false},
		{`served`, true, false},
	} {
		s := slice{Measured: run.Measured{Result: run.Result{Total: 100}}}
		if err := s.readServer(c.flow, []string{c.served}); (err == nil) != c.ok {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	s := slice{Measured: run.Measured{Result: run.Result{Total: 100, Own: map[string]int64{"bells": 5, "mallocs": 200}}}}
	if err := s.readServer(true, []string{`{"served":200,"bells":15,"mallocs":100}`}); err != nil || s.Bells != 0.2 || s.ClientBells != 0.15 || s.Mallocs != 2.5 {
		t.Errorf("got %+v, %v", s, err)
	}
	if err := s.readServer(true, nil); err == nil {
		t.Error("a server that says nothing: no error")
	}
}

// TestOneCPU has two busy processes share a CPU: their CPU time can't be more than the window.
func TestOneCPU(t *testing.T) {
	b := testBench(t, "pipe")
	b.Slice = 200 * time.Millisecond
	sc := scenarios()[1]
	s, err := b.slice(t.Context(), sc, one, b.peers[0])
	if err != nil {
		t.Fatal(err)
	}
	if share := float64(s.ServerCPU+s.LoadCPU) / float64(s.EndNS-s.BeginNS); share > 1.02 || share < 0.1 {
		t.Errorf("both were on the CPU for %.2f of the window: %+v", share, s)
	}
}

// TestPlacement looks where a client may run.
func TestPlacement(t *testing.T) {
	b := &bench{options: options{Options: run.Options{LoadCPU: 1}}, allCPUs: []int{0, 1, 5}}
	for placement, want := range map[string][3][]int{
		one:  {{0}, {0}, {0}},
		two:  {{0}, {1}, {0, 1}},
		free: {{0, 1, 5}, {0, 1, 5}, {0, 1, 5}},
	} {
		server, client, all := b.cpus(placement)
		if !slices.Equal(server, want[0]) || !slices.Equal(client, want[1]) || !slices.Equal(all, want[2]) {
			t.Errorf("%s: %v, %v, %v", placement, server, client, all)
		}
	}
	_, err := run.Generator{
		Program: "/bin/sh", Args: []string{"-c", "grep Cpus_allowed_list /proc/self/status >&2; exit 1"}, CPUs: []int{1},
	}.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "Cpus_allowed_list:\t1\n") {
		t.Errorf("a client on CPU 1: %v", err)
	}
}

func TestHasHeader(t *testing.T) {
	p, err := run.NewPrograms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if !p.HasHeader(t.Context(), "stdio.h") || p.HasHeader(t.Context(), "no/such/header.h") {
		t.Error("HasHeader is wrong")
	}
}

// TestTable reads the verdicts of invented slices.
func TestTable(t *testing.T) {
	b := &bench{options: options{Options: run.Options{Rounds: 3}}, leftOut: map[string]string{"zmq": "no zmq.h here"}}
	for _, name := range []string{eventfd, unixStream, shmStream, records, batches} {
		x := peer{name: name, what: name, ring: name != eventfd && name != unixStream}
		b.peers = append(b.peers, x)
	}
	make3 := func(peer string, requests int64, p50, bells, others float64) (all []slice) {
		for round := range 3 {
			all = append(all, slice{Peer: peer, Round: round, Bells: bells, ClientBells: 0.75 * bells, Measured: run.Measured{Others: others, Result: run.Result{
				Requests: requests, EndNS: 1e9, ServerCPU: 1e9, P50: p50 + float64(round), P99: 100,
			}}})
		}
		return all
	}
	all := slices.Concat(make3(eventfd, 1, 3, 0, 0), make3(unixStream, 1, 9, 0, 0), make3(shmStream, 1, 4, 0, 0), make3(records, 1, 8, 0, 0))
	table := func(sc scenario, all []slice) string {
		var out bytes.Buffer
		b.print(&out, sc, two, all)
		return out.String()
	}
	find := func(text string, lines ...string) {
		t.Helper()
		for _, line := range lines {
			if !strings.Contains(text, line) {
				t.Errorf("no %q in\n%s", line, text)
			}
		}
	}
	sc := scenarios()
	find(table(sc[0], all),
		"| eventfd | 4.00 (3.00) | 100.00 | 1 | 0.40 (0.33–0.45) |",
		"| stream-shm | 5.00 (4.00) | 100.00 | 1.25 (1.20–1.33), target 1.25 met | 0.50 (0.44–0.55), target 0.6 met |",
		"| records | 9.00 (8.00) | 100.00 | 2.25 (2.00–2.67), target 1.25 MISSED | 0.90 (0.89–0.91), target 0.6 MISSED |",
		"| zmq | left out: no zmq.h here |")
	all = slices.Concat(make3(unixStream, 1e6, 0, 0, 0), make3(records, 5e6, 0, 0.002, 0), make3(batches, 8e6, 0, 0.02, 0))
	find(table(sc[1], all),
		"| stream-unix | 1.00 M (1.00 M) | 0.06 | 1 | 1.000 | – | 0.000 |",
		"| records | 5.00 M (5.00 M), target ≥ 5.00 M met | 0.32 | 5.00 (5.00–5.00) | 0.200 | 2.00 (1.50), target 10 met | 0.000, target 0.01 met |",
		"8.00 M (8.00 M), target ≥ 9.00 M MISSED", "20.00 (15.00), target 10 MISSED")
	find(table(sc[3], make3(records, 1e5, 0, 0, 0.2)), "| 6.55, target ≥ 5 NOT JUDGED |", "20 % disturbed")
	b.peers = []peer{{name: unixText, what: unixText}, {name: shmText, what: shmText, ring: true}}
	find(table(sc[4], slices.Concat(make3(unixText, 1e4, 50, 0, 0), make3(shmText, 2e4, 20, 1, 0))),
		"| text-shm | 20.0 k | 2.00 (2.00–2.00), target ≥ 2 met | 21.0, 100.0 | 50.00 | 1000.00 (750.00) | 0.000 |")
}

// TestScenarios finds names that nobody has.
func TestScenarios(t *testing.T) {
	names := slices.Concat(scenarioNames(), placementNames(), peerNames())
	if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("--only can't tell these apart: %v", names)
	}
	for _, sc := range scenarios() {
		for _, name := range append(slices.Clone(sc.peers), sc.base) {
			if !slices.Contains(peerNames(), name) {
				t.Errorf("%s: no peer %s", sc.name, name)
			}
		}
		if !json.Valid([]byte(`"`+sc.name+`"`)) || len(sc.placements) == 0 {
			t.Errorf("%+v", sc)
		}
	}
}
