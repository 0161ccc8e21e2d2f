// Package peer is what the servers of the benchmark call have in common: the flag
// with the path to listen on, the line that says that they listen, and at the end
// what they have allocated.
package peer

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// Path returns the path of the socket to listen on, from the flag --path.
func Path() (string, error) {
	path := flag.String("path", "", "listen on the Unix stream socket `PATH`")
	flag.Parse()
	if *path == "" || flag.NArg() > 0 {
		return "", errors.New("usage: --path PATH")
	}
	return *path, nil
}

// Listening prints "listening unix PATH". When SIGTERM comes it prints "allocated
// COUNT BYTES", of the whole process since this call, and ends the process. Until
// then it costs nothing.
func Listening(path string) {
	var before, after runtime.MemStats
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	runtime.ReadMemStats(&before)
	go func() {
		<-end
		runtime.ReadMemStats(&after)
		fmt.Println("allocated", after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc)
		os.Exit(0)
	}()
	fmt.Println("listening unix", path)
}
