// Command net is the echo server most people would write: package net, one
// goroutine and one buffer a connection. The tables of the benchmarks compare
// with it.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
)

// bufferSize is what the other servers read at most at once in the scenarios,
// 16 requests of 1 KiB. A larger buffer would only raise the memory figure.
const bufferSize = 16 << 10

func main() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
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

// echo sends back all it reads. A plain loop, because io.Copy between two TCP
// connections would take the splice path.
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
			if !errors.Is(err, io.EOF) {
				log.Print(err)
			}
			return
		}
	}
}
