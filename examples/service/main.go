//go:build linux

// Command service is a message service on TCP, UDP, Unix sockets and shared memory at once.
//
//	go run ./examples/service --tcp 127.0.0.1:4040 --udp 127.0.0.1:4041 --unix /tmp/service.sock --shm /tmp/service.ring
//	go run ./tools/ed-signal --type tcp --host 127.0.0.1:4040 --reply HELP
//	go run ./tools/ed-signal --type shm --host /tmp/service.ring --reply HELP
//
// It answers the default commands (HELP lists them; STATUS shows what its loop is doing), PING with PONG and the same
// parameters, and SUM with TOTAL and the sum of its parameters. STOP, SIGINT and SIGTERM end it. The flags for addresses
// can be repeated; it prints a line for each address once it listens, such as "listening tcp 127.0.0.1:4040".
//
// With --log-file it logs to a file, which it opens again on LOG_ROTATE. That can come to any of its addresses, or with
// --log-rotate to one of its own, where nobody can stop the service. examples/systemd has a unit for systemd, and what
// logrotate has to be told.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/communicator/inspect"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/connection/logrotate"
	"github.com/eventdispatcher-go/eventdispatcher/connection/notify"
	"github.com/eventdispatcher-go/eventdispatcher/connection/signals"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/message"
	"github.com/eventdispatcher-go/eventdispatcher/message/definition"
	"github.com/eventdispatcher-go/eventdispatcher/shmconn"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

type options struct {
	name, definitions  string
	logFile, logRotate string
	tcps, udps, paths  []string
	rings              []string
}

// patience is how long connections may take to deliver what they hold when the service ends.
const patience = 10 * time.Second

func main() {
	var o options
	pflag.StringVar(&o.name, "name", "service", "the service's `NAME`")
	pflag.StringVar(&o.definitions, "definitions", "", "check messages against the definitions in the folders of `PATH`")
	pflag.StringArrayVar(&o.tcps, "tcp", nil, "listen on TCP at `ADDRESS`")
	pflag.StringArrayVar(&o.udps, "udp", nil, "listen on UDP at `ADDRESS`")
	pflag.StringArrayVar(&o.paths, "unix", nil, "listen on a Unix stream socket at `PATH`")
	pflag.StringArrayVar(&o.rings, "shm", nil, "listen at `PATH` for connections through shared memory")
	pflag.StringVar(&o.logFile, "log-file", "", "log to `FILE` instead of the standard error")
	pflag.StringVar(&o.logRotate, "log-rotate", "", "take LOG_ROTATE, but not STOP, at `ADDRESS`: UDP, or a path")
	pflag.Parse()
	if len(o.tcps)+len(o.udps)+len(o.paths)+len(o.rings) == 0 {
		o.tcps, o.udps = []string{"127.0.0.1:4040"}, []string{"127.0.0.1:4041"}
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	definitions, err := definition.Load(definition.Config{Path: o.definitions})
	if err != nil {
		return err
	}
	for _, key := range definitions.Ignored() {
		fmt.Fprintln(os.Stderr, "service:", key)
	}
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		return err
	}
	defer loop.Close()
	reopenLogs, err := startLog(loop, o)
	if err != nil {
		return err
	}

	mux := dispatcher.New(dispatcher.Config{Definitions: definitions})
	mux.HandleFunc("PING", ping)
	mux.HandleFunc("SUM", sum)
	stop := func(quitting bool) {
		if !quitting { // a client that goes away sends QUITTING
			loop.Shutdown(patience)
		}
	}
	err = mux.AddDefaults(dispatcher.Service{Name: o.name, Status: inspect.Status(loop), ReopenLogs: reopenLogs, Stop: stop})
	if err != nil {
		return err
	}
	addrs, err := listen(loop, mux, o)
	if err != nil {
		return err
	}
	if _, err := signals.Terminate(loop, patience, nil, communicator.Options{}); err != nil {
		return err
	}
	if err := tellManager(loop); err != nil {
		return err
	}
	for _, addr := range addrs {
		fmt.Println("listening", addr.Network(), addr)
	}
	return loop.Run(context.Background())
}

// startLog sends the log to a file, if there is to be one, and returns what opens that again.
func startLog(loop *communicator.Communicator, o options) (reopen func() error, err error) {
	if o.logFile == "" && o.logRotate != "" {
		return nil, errors.New("--log-rotate needs a --log-file")
	}
	if o.logFile == "" {
		return nil, nil // LOG_ROTATE does nothing
	}
	file, err := logrotate.Open(o.logFile, logrotate.FileConfig{})
	if err != nil {
		return nil, err
	}
	logrus.SetOutput(file)
	if o.logRotate != "" {
		socket, err := logrotate.Listen(loop, o.logRotate, file.Reopen, logrotate.Config{})
		if err != nil {
			return nil, err
		}
		fmt.Println("listening log-rotate", socket.Addr())
	}
	return file.Reopen, nil
}

// tellManager says to systemd, if that has started the service, when it is ready, alive and stopping.
func tellManager(loop *communicator.Communicator) error {
	n, err := notify.FromEnvironment()
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err) // it works as well without
	}
	if err := n.Attach(loop); err != nil {
		return err
	}
	return n.Watchdog(loop, communicator.Options{})
}

func listen(loop *communicator.Communicator, h message.Handler, o options) (addrs []net.Addr, err error) {
	messages := connection.Messages(h, connection.MessageConfig{})
	for _, address := range o.tcps {
		l, err := tcp.Listen(loop, address, messages, tcp.ListenConfig{})
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, l.Addr())
	}
	for _, path := range o.paths {
		l, err := unixsock.Listen(loop, path, messages, unixsock.ListenConfig{})
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, l.Addr())
	}
	for _, path := range o.rings {
		if _, err := shmconn.Listen(loop, path, messages, shmconn.ListenConfig{}); err != nil {
			return nil, err
		}
		addrs = append(addrs, shmconn.Addr(path))
	}
	for _, address := range o.udps {
		datagrams := connection.NewMessageDatagrams(h, connection.MessageDatagramConfig{})
		d, err := udp.Listen(loop, address, datagrams, udp.ListenConfig{})
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, d.Addr())
	}
	return addrs, nil
}

// ping answers PONG with the parameters of the PING.
func ping(from message.Sender, m *message.Message) error {
	reply := m.Reply("PONG")
	for name, value := range m.Parameters() {
		if name != message.ParameterSecretCode { // it was for this service
			reply.Set(name, value)
		}
	}
	return from.Send(reply)
}

// maxDigits bounds the work that one SUM can ask for.
const maxDigits = 1000

// sum answers TOTAL with the sum of the parameters, whole numbers.
func sum(from message.Sender, m *message.Message) error {
	total := new(big.Int)
	for name, value := range m.Parameters() {
		n, ok := new(big.Int), len(value) <= maxDigits
		if ok {
			n, ok = n.SetString(value, 10)
		}
		if !ok {
			return message.BadValue(name, "not a whole number")
		}
		total.Add(total, n)
	}
	return from.Send(m.Reply("TOTAL").Set("sum", total.String()))
}
