//go:build linux

// Package communicator is the run loop: one goroutine that waits for descriptors and deadlines and
// calls back in order of priority.
//
// A [Source] is anything with a descriptor or a deadline. What it can handle is said by the methods
// it has: [ReadHandler], [WriteHandler], [TimeoutHandler], [CloseHandler]. Add asks once and
// returns the [Handle] by which the source is steered.
//
//	loop, err := communicator.New(communicator.Config{})
//	...
//	handle, err := loop.Add(source, communicator.Options{Name: "sensor", Priority: -10})
//	...
//	err = loop.Run(ctx) // until nothing is left, ctx ends, or somebody calls Stop
//
// Most programs add no sources of their own: packages timer, tcp, udp, unixsock and those below connection bring
// them. A descriptor of any kind is a source in three lines:
//
//	loop.Add(communicator.ReadFunc(fd, func(h *communicator.Handle) error {
//		return drain(fd)
//	}), communicator.Options{Name: "gpio"})
//
// Do not use this package for a handful of blocking connections: goroutines and package net are
// simpler. Use it where one goroutine is to own the state, where order matters, or where there are
// very many connections.
//
// # Loop turn
//
// A turn has four parts.
//
//  1. Wait: block in epoll_wait until something is ready or due, then collect all of it, so that no
//     number of ready sources hides a more important one. While an urgent source is in the loop this is
//     done 64 events at a time, and urgent sources are served between two such pieces.
//  2. Dispatch in order of priority, smaller first; equal priorities in the order in which they
//     were added. A source that is both readable and due gets HandleRead first, then HandleWrite,
//     then HandleTimeout.
//  3. Run the functions that Post queued before this part began.
//  4. Close what was removed, and run the functions that AfterTurn has queued.
//
// After every callback the functions run that it handed to Defer. Then the deadlines are looked at again, and,
// while sources of a priority below 0 are registered, those sources too. What became ready with a smaller priority
// than the rest of the turn goes next. So an urgent source, one below 0, waits for one callback and one look. The
// look at descriptors costs a system call; it is made when [LookInterval] has passed since the last one, times one
// more than the number of events that one returned: 5 µs while no urgent source is ready, 505 µs while a hundred
// are. So looking never takes the larger part of a turn.
//
// Within a priority nobody is served twice before all that were ready have been served once.
// Between priorities the order within a turn is strict. A descriptor that is always ready doesn't starve what is less
// important, because it is asked again only in the next turn; a source whose deadline has always passed, and an
// urgent one that is always ready, do. But nothing starves posted functions and closings, for which a turn leaves
// room whatever happens.
//
// Everything is level-triggered: what a callback leaves unread is reported again in the next turn.
// A callback should do a bounded piece of work, 64 KiB at most, and return.
//
// # Threads
//
// A Communicator and its Handles belong to the goroutine that calls Run; before Run to the one that
// calls New. Exactly these may be called from any goroutine:
//
//   - [Communicator.Post], [Communicator.Do], [Communicator.Hold], [Communicator.Stop], [Communicator.Stopping],
//     [Communicator.OnLoop]
//
// The race detector finds other calls; nothing else does.
//
// The loop blocks in a system call and keeps a processor busy while callbacks run: GOMAXPROCS
// should be at least the number of loops and other busy goroutines plus one.
//
// # Close
//
// A source leaves the loop when [Handle.Remove] is called, when one of its callbacks returns an
// error, when the kernel refuses to watch it any longer, and when the loop ends. From that moment
// on it gets no callback but one: at the end of the turn, never from within another of its
// callbacks, its Close is called if it is an io.Closer, and then HandleClose with the cause,
// exactly once. The descriptor belongs to the source: the loop closes nothing by itself. A source
// must not close its descriptor while it is in the loop.
//
// [Handle.Detach] is the other way out: the source stays open and nothing is called.
//
// [Communicator.Shutdown] lets all of them end: those that are a [ShutdownHandler] finish what they have
// begun, within a limit of time, the others are removed. [Communicator.Stop] is abrupt.
//
// A source whose descriptor is in error or hung up, and which does nothing about it in [MaxFailing] callbacks in a row,
// is removed with ErrSpinning. One that merely never reads what it is told of keeps the loop busy: its
// number of calls in [Communicator.Sources] shows it.
//
// A disabled source, one that is over its [Rate], and one that wants nothing, is taken out of the epoll set,
// because the kernel reports a hang-up whether it is wanted or not. A dead peer then costs nothing, and goes
// unnoticed until the source is enabled again.
//
// A panic in a callback is not recovered.
//
// # What is not guaranteed
//
//   - The order of events of different descriptors: within a turn only priority and the order of
//     adding count, not what happened first.
//   - Freshness: a readable source may have nothing to read by the time it is called. Sources must use
//     non-blocking descriptors.
//   - Accuracy: a deadline is never early, and is late by what the callbacks before it take.
//   - That a deadline follows the wall clock: deadlines run on the monotonic clock, which
//     steps of the date do not touch and which stands still while the machine sleeps.
package communicator
