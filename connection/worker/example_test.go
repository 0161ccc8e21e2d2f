//go:build linux

package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/worker"
)

// A file is read by a worker, so that a slow disk doesn't keep the loop waiting.
func ExampleDo() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	pool, err := worker.NewPool(loop, worker.Config{Workers: 2})
	if err != nil {
		panic(err)
	}
	_, err = worker.Do(pool, func(context.Context) ([]byte, error) {
		return os.ReadFile("no such file")
	}, func(text []byte, err error) {
		fmt.Println(len(text), errors.Is(err, os.ErrNotExist))
	})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil { // until no work is out
		panic(err)
	}
	// Output: 0 true
}

// The end of a goroutine is an event of the loop.
func ExampleGo() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	task, err := worker.Go(loop, func(ctx context.Context) error {
		<-ctx.Done() // it would do something useful until then
		return nil
	}, func(err error) {
		fmt.Println("it has ended:", err)
	}, communicator.Options{Name: "companion"})
	if err != nil {
		panic(err)
	}
	if err := loop.Post(task.Cancel); err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output: it has ended: <nil>
}

// An HTTP server beside the loop: its handlers ask the loop for what is the loop's. When nothing else is left in the
// loop, the server answers what it has begun, and ends.
func ExampleGo_httpServer() {
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	visits := 0 // the loop's
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := loop.Do(r.Context(), func() error {
			visits++
			return nil
		})
		if err != nil { // the loop ends
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})}
	serve := func(context.Context) error { return server.Serve(listener) }
	_, err = worker.Go(loop, serve, func(err error) {
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, worker.ErrClosed) {
			loop.Stop(err) // it has failed
		}
	}, communicator.Options{Name: "http", Background: true})
	if err != nil {
		panic(err)
	}
	loop.AtExit(func(error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
		}
	})

	// A visitor, for whom the loop waits.
	_, err = worker.Go(loop, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listener.Addr().String(), nil)
		if err != nil {
			return err
		}
		answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			return err
		}
		fmt.Println(answer.Status)
		return answer.Body.Close()
	}, func(err error) {
		if err != nil {
			fmt.Println("the visitor has failed:", err)
		}
	}, communicator.Options{Name: "visitor"})
	if err != nil {
		panic(err)
	}
	if err := loop.Run(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println("visits:", visits)
	// Output:
	// 204 No Content
	// visits: 1
}
