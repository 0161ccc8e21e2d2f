// Command nettls is the TLS echo server most people would write: package net and crypto/tls, one goroutine
// and one buffer a connection. The tables of the benchmarks compare with it.
package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"net"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/secure"
)

// bufferSize is as much as a record has: crypto/tls never returns more at once.
const bufferSize = 16 << 10

func main() {
	config, err := secure.Server()
	if err != nil {
		log.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening tcp", ln.Addr())
	for {
		c, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go echo(c)
	}
}

// echo sends back all it reads. Errors are the clients' ends, which say nothing here.
func echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, bufferSize)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
