//go:build linux

package logrotate_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/logrotate"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
)

// A log file that is renamed, and opened again.
func ExampleOpen() {
	folder, err := os.MkdirTemp("", "demo")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	file, err := logrotate.Open(filepath.Join(folder, "demo.log"), logrotate.FileConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	logger := log.New(file, "", 0) // or logrus.SetOutput(file)

	logger.Print("one")
	if err := os.Rename(file.Name(), file.Name()+".1"); err != nil {
		log.Fatal(err)
	}
	logger.Print("two")
	if err := file.Reopen(); err != nil {
		logger.Print(err) // to the old file
	}
	logger.Print("three")

	for _, name := range []string{"demo.log.1", "demo.log"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		fmt.Printf("%s: %q, %v\n", name, text, err)
	}
	// Output:
	// demo.log.1: "one\ntwo\n", <nil>
	// demo.log: "three\n", <nil>
}

// A service whose log is rotated while it runs.
func ExampleListen() {
	loop, file, end := service()
	defer end()
	logger := logrus.New() // logrus.SetOutput(file) does it for the standard logger
	logger.SetOutput(file)
	logger.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true})
	socket, err := logrotate.Listen(loop, "127.0.0.1:0", file.Reopen, logrotate.Config{})
	if err != nil {
		log.Fatal(err)
	}

	address := socket.Addr().String()
	finished, err := loop.Hold() // in place of what a service does
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		defer finished()
		logger.Info("one")
		if err := rotate(file.Name(), address); err != nil {
			fmt.Println(err)
		}
		logger.Info("two")
	}()
	if err := loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}

	for _, name := range []string{file.Name() + ".1", file.Name()} {
		text, err := os.ReadFile(name)
		fmt.Printf("%s: %s%v\n", filepath.Base(name), text, err)
	}
	// Output:
	// demo.log.1: level=info msg=one
	// <nil>
	// demo.log: level=info msg=two
	// <nil>
}

// service makes what a service of the examples has: a loop, and a log in a folder that goes away at the end.
func service() (loop *communicator.Communicator, file *logrotate.File, end func()) {
	folder, err := os.MkdirTemp("", "demo")
	if err != nil {
		log.Fatal(err)
	}
	if loop, err = communicator.New(communicator.Config{}); err != nil {
		log.Fatal(err)
	}
	if file, err = logrotate.Open(filepath.Join(folder, "demo.log"), logrotate.FileConfig{}); err != nil {
		log.Fatal(err)
	}
	return loop, file, func() {
		_, _, _ = file.Close(), loop.Close(), os.RemoveAll(folder)
	}
}

// rotate does what logrotate and ed-signal do, and waits until the service has opened its log again.
func rotate(name, address string) error {
	if err := os.Rename(name, name+".1"); err != nil {
		return err
	}
	conn, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	for _, command := range []string{"LOG_ROTATE", "ALIVE"} {
		if _, err := fmt.Fprint(conn, command); err != nil {
			return err
		}
	}
	_, err = conn.Read(make([]byte, 1024)) // the answer to ALIVE
	return err
}

// A service whose log is opened again on SIGHUP, without a socket.
func ExampleFile_Reopen() {
	loop, file, end := service()
	defer end()

	finished, err := loop.Hold() // in place of what a service does
	if err != nil {
		log.Fatal(err)
	}
	reopen := func() error {
		defer finished()
		return file.Reopen() // a service hands file.Reopen to Hangup
	}
	if _, err := signals.Hangup(loop, reopen, communicator.Options{}); err != nil {
		log.Fatal(err)
	}

	fmt.Fprintln(file, "one")
	if err := os.Rename(file.Name(), file.Name()+".1"); err != nil {
		log.Fatal(err)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGHUP) // as "systemctl kill --signal=HUP demo" does
	if err := loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(file, "two")

	text, err := os.ReadFile(file.Name())
	fmt.Printf("%q, %v\n", text, err)
	// Output: "two\n", <nil>
}
