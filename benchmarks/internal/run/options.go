package run

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Options are the flags that the runners have in common.
type Options struct {
	Rounds    int
	Slice     time.Duration
	Warmup    time.Duration
	ServerCPU int
	LoadCPU   int
}

// Flags defines the flags; what the options are already is the default.
func (o *Options) Flags() {
	flag.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds; every server runs once in each")
	flag.DurationVar(&o.Slice, "slice", o.Slice, "measured time of a server in a round")
	flag.DurationVar(&o.Warmup, "warmup", o.Warmup, "time before the measured time")
	flag.IntVar(&o.ServerCPU, "server-cpu", 0, "CPU of the server")
	flag.IntVar(&o.LoadCPU, "load-cpu", 1, "CPU of the load generator")
}

// Check refuses flags that make no sense.
func (o *Options) Check() error {
	if o.Rounds < 1 || o.Slice < 10*time.Millisecond || o.Warmup < 0 || flag.NArg() > 0 {
		return errors.New("usage: --rounds is positive, --slice at least 10ms, no arguments")
	}
	return nil
}

// Main is the main function of a runner, after it has defined its flags: it reads them and calls the
// benchmark with a context that a signal ends and with where to build programs.
func Main(benchmark func(ctx context.Context, p *Programs) error) {
	flag.Parse()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := func() error {
		p, err := NewPrograms(ctx)
		if err != nil {
			return err
		}
		return errors.Join(benchmark(ctx, p), p.Close())
	}()
	if ctx.Err() != nil {
		log.Fatal("interrupted")
	} else if err != nil {
		log.Fatal(err)
	}
}
