// Command gob is package net/rpc, which encodes with gob, on a Unix socket: what
// the standard library has for calls between Go programs. Each connection has a
// goroutine that reads, and each call one that answers.
package main

import (
	"log"
	"net"
	"net/rpc"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/peer"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/store"
)

// Store is the service; net/rpc finds its methods by reflection.
type Store struct{}

// FetchUser answers a call.
func (Store) FetchUser(q *store.Query, u *store.User) (err error) {
	*u, err = q.Fetch()
	return err
}

func main() {
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	path, err := peer.Path()
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.Register(Store{}); err != nil {
		return err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	peer.Listening(path)
	server.Accept(ln)
	return nil
}
