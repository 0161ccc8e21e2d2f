package main

import "slices"

// peer is one way of sending messages; one program is both of its ends.
type peer struct {
	name string
	what string // for the tables

	file   string // the program, in the folder c. Empty: the Go program peer
	links  string // what it is linked with. Empty: nothing
	header string // of that
	debian string // the package that has both
	args   []string

	ring bool // the targets of the ring are for this one
	spin bool // it looks for more before it sleeps
}

// The names that others refer to.
const (
	eventfd    = "eventfd"
	unixStream = "stream-unix"
	shmStream  = "stream-shm"
	records    = "records"
	batches    = "records-32"
	shmSpin    = "stream-shm-spin"
	recordSpin = "records-spin"
	unixText   = "text-unix"
	shmText    = "text-shm"
)

// spin is the longest that a connection may look for more before it sleeps: shmconn.MaxSpin.
const spin = "50us"

func peers() []peer {
	return []peer{
		{name: eventfd, what: "two bare eventfds, C", file: "pingpong", args: []string{"-k", "eventfd"}},
		{name: "pipe", what: "pipe, C", file: "pingpong", args: []string{"-k", "pipe"}},
		{name: "net", what: "Go `net`, Unix socket", args: []string{"-k", "net"}},
		{name: "zmq", what: "ZeroMQ PAIR, ipc, C", file: "zmq", links: "-lzmq", header: "zmq.h", debian: "libzmq3-dev"},
		{name: "nng", what: "NNG pair0, ipc, C", file: "nng", links: "-lnng", header: "nng/nng.h", debian: "libnng-dev"},
		{name: unixStream, what: "Stream, Unix socket", args: []string{"-k", unixStream}},
		{name: shmStream, what: "**Stream, ring**", args: []string{"-k", shmStream}, ring: true},
		{name: records, what: "**records, ring**", args: []string{"-k", records}, ring: true},
		{name: batches, what: "**records, ring, 32 together**", args: []string{"-k", records, "-b", "32"}, ring: true},
		{name: shmSpin, what: "**Stream, ring, spinning**", args: []string{"-k", shmStream, "-spin", spin}, ring: true, spin: true},
		{name: recordSpin, what: "**records, ring, spinning**", args: []string{"-k", records, "-spin", spin}, ring: true, spin: true},
		{name: unixText, what: "messages, Unix socket", args: []string{"-k", unixText}},
		{name: shmText, what: "**messages, ring**", args: []string{"-k", shmText}, ring: true},
	}
}

func peerNames() []string {
	var names []string
	for _, p := range peers() {
		names = append(names, p.name)
	}
	return names
}

// Placements: where the two processes may run.
const (
	one  = "one"  // both on the same CPU
	two  = "two"  // each on its own
	free = "free" // wherever this program itself may run
)

func placementNames() []string { return []string{one, two, free} }

// scenario is one way of using the peers.
type scenario struct {
	name       string
	what       string
	flow       bool // one way; else there and back
	size       int  // bytes in a message; 0: text messages have the length they have
	depth      int  // text messages in flight. 0: 1
	peers      []string
	placements []string
	base       string // the peer that the rate, or the latency, is compared with
	// rate is the least that a peer shall send in a second, bytes the same in bytes, ratio how many times the rate of base.
	rate, bytes, ratio map[string]float64
}

const rttName = "rtt"

// Targets of round trips: the p50 divided by that of a bare eventfd and of a Stream over a Unix socket in the same
// placement, where it is known, and the p50 in µs of what spins, where it has a CPU for that.
const (
	rttEventfd = 1.25
	rttUnix    = 0.6
	rttSpin    = 0.7
)

// Targets of a flow through a ring: of all messages, which need a wake-up, and how many allocations each takes. What is
// below the latter is what a connection costs once. A ring holds a few messages of 64 KiB only, and then one of the two
// has to wait: from wakeupSize on the first has no meaning.
const (
	wakeups    = 0.01
	wakeupSize = 4 << 10
	mallocs    = 0.01
)

func scenarios() []scenario {
	all := []string{one, two, free}
	apart := []string{two, free} // on one CPU a flow measures how long the scheduler lets each run
	flows := []string{"pipe", "net", "zmq", "nng", unixStream, shmStream, records, batches}
	texts := []string{unixText, shmText}
	text := map[string]float64{shmText: 2}
	return []scenario{
		{
			name: rttName, what: "round trips, 64 bytes", size: 64, placements: all, base: unixStream,
			peers: []string{eventfd, "pipe", "net", "zmq", "nng", unixStream, shmStream, records, shmSpin, recordSpin},
		},
		{
			name: "64", what: "one way, 64 bytes", flow: true, size: 64, peers: flows, placements: apart, base: unixStream,
			rate: map[string]float64{records: 5e6, batches: 9e6},
		},
		{name: "1k", what: "one way, 1 KiB", flow: true, size: 1 << 10, peers: flows, placements: apart, base: unixStream},
		{
			name: "64k", what: "one way, 64 KiB", flow: true, size: 64 << 10, peers: flows, placements: apart, base: unixStream,
			bytes: map[string]float64{records: 5e9},
		},
		{name: "call", what: "text messages through a dispatcher, 1 in flight", peers: texts, placements: all, base: unixText, ratio: text},
		{name: "call-16", what: "text messages through a dispatcher, 16 in flight", depth: 16, peers: texts, placements: all, base: unixText, ratio: text},
		{name: "text", what: "text messages through a dispatcher, one way", flow: true, peers: texts, placements: apart, base: unixText, ratio: text},
	}
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// wants tells whether a peer is part of the scenario.
func (s scenario) wants(p peer) bool { return slices.Contains(s.peers, p.name) }
