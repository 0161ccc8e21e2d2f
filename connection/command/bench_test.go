//go:build linux

package command_test

import (
	"os/exec"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/command"
	"github.com/eventdispatcher-go/eventdispatcher/connection/procwatch"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// BenchmarkStart runs a command that does nothing, one after the other, with its output as a stream.
func BenchmarkStart(b *testing.B) {
	loop, _ := looptest.New(b)
	h := connection.DataFunc(func(_ *connection.Stream, data []byte) (int, error) { return len(data), nil })
	n := 0
	var next func(*command.Process, procwatch.Event) error
	next = func(*command.Process, procwatch.Event) error {
		if n++; n > b.N {
			return nil
		}
		_, err := command.Start(loop, exec.Command("/bin/true"), command.Config{Stdout: h, Exit: next})
		return err
	}
	b.ReportAllocs()
	_ = next(nil, procwatch.Event{})
	looptest.Run(b, loop)
}

// BenchmarkExec is the same with package os/exec alone.
func BenchmarkExec(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		if _, err := exec.Command("/bin/true").Output(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkThroughput reads what a command writes as fast as it can.
func BenchmarkThroughput(b *testing.B) {
	loop, _ := looptest.New(b)
	const piece = 64 << 10
	b.SetBytes(piece)
	size := 0
	h := connection.DataFunc(func(s *connection.Stream, data []byte) (int, error) {
		if size += len(data); size >= b.N*piece {
			s.Close()
		}
		return len(data), nil
	})
	p, err := command.Start(loop, exec.Command("cat", "/dev/zero"), command.Config{Stdout: h})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	looptest.Run(b, loop)
	if p.Running() {
		b.Error("it runs")
	}
}
