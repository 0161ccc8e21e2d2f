package main_test

import (
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/run"
)

// TestGenerators has both generators work at the same time on both servers.
func TestGenerators(t *testing.T) {
	p, err := run.NewPrograms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	load, err := p.Go(t.Context(), "storm/load")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"peers/nettls", "tls/server"} {
		program, err := p.Go(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		srv, err := run.StartServerOn(t.Context(), []int{0}, 2, 1, program)
		if err != nil {
			t.Fatal(err)
		}
		generator := func(args ...string) run.Generator {
			return run.Generator{Program: load, CPU: 1, Limit: 10 * time.Second, Args: append([]string{"--port", srv.Addrs[0], "--warmup", "10ms"}, args...)}
		}
		storm, err := generator("--storm", "4").Start(t.Context(), "storming")
		if err != nil {
			t.Fatal(err)
		}
		const window, interval, conns = 200 * time.Millisecond, 5 * time.Millisecond, 4
		steady, err := generator("--steady", "4", "--interval", interval.String(), "--window", window.String()).Run(t.Context())
		if err != nil || steady.Requests != conns*int64(window/interval) || steady.P99 < steady.P50 || steady.P50 <= 0 {
			t.Errorf("%s: got %+v, %v", dir, steady, err)
		}
		if made, err := storm.Stop(); err != nil || made.Requests == 0 {
			t.Errorf("%s: the storm: %+v, %v", dir, made, err)
		}
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	}
}
