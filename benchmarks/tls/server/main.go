// Command server is this project's server in the benchmarks tls and storm: it sends back every byte, over
// TLS, with nothing tuned. With GOMAXPROCS greater than 1 the handshakes have a processor besides the loop's.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/secure"
	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

func main() {
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	config, err := secure.Server()
	if err != nil {
		return err
	}
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	l, err := tcp.Listen(loop, "127.0.0.1:0", connection.Streams(connection.DataFunc(echo), connection.StreamConfig{}), tcp.ListenConfig{TLS: config})
	if err != nil {
		return err
	}
	fmt.Println("listening tcp", l.Addr())
	return loop.Run(context.Background())
}

func echo(s *connection.Stream, data []byte) (consumed int, err error) { return s.Write(data) }
