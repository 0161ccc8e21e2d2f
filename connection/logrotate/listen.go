//go:build linux

package logrotate

import (
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/dispatcher"
	"github.com/eventdispatcher-go/eventdispatcher/udp"
	"github.com/eventdispatcher-go/eventdispatcher/unixsock"
)

// Config says how to listen for LOG_ROTATE. The zero value is right for most.
type Config struct {
	// Name is for people. Empty: the network and the address.
	Name string
	// Priority in the loop; smaller is served first.
	Priority int
	// Secret has to be in each message, as the parameter secret_code: see connection.MessageDatagramConfig. Empty:
	// none is asked for.
	Secret string
	// Mode is the mode of the socket's file, whatever the umask: whoever may write to it may send. Zero:
	// unixsock.DefaultMode, so only the service's own user, and root.
	Mode os.FileMode
	// Owner and Group are those of the socket's file, each a name or a number. Empty: those that the kernel gives it.
	Owner, Group string
	// Logger gets what was told, refused, and not reopened. What is no message goes to the loop's logger in any
	// case. Nil: the loop's logger.
	Logger *slog.Logger
}

// Listen has reopen called, on the loop's goroutine, for each message LOG_ROTATE that comes to an address. That is the
// path of a Unix datagram socket if it has a slash in it, as in "./log.sock", or an abstract name if it begins with @;
// otherwise UDP's "host:port", where the host should be 127.0.0.1 or ::1. Anybody on the machine may send to a port, and
// to an abstract name, unless there is a secret; a message may have connection.DefaultMaxMessage bytes.
//
// LOG_ROTATE isn't answered. An error of reopen is logged, once a second at most, and the socket goes on. The other
// commands that all services have are treated as dispatcher.Mux.AddDefaults does: HELP and ALIVE are answered, unknown
// ones too. A sender that has to know when the logs are reopened sends an ALIVE after the LOG_ROTATE, from the same
// socket to a Unix one, and waits for the answer. But nothing here stops the service: STOP is logged, and ignored.
//
// The socket is in the background: it neither keeps Run from returning nor ends by communicator.Shutdown, so that logs
// are rotated to the last. Close closes it, and removes its file. The errors are ErrNoFile and those of udp.Listen and
// unixsock.ListenDatagram. A nil reopen panics.
func Listen(loop *communicator.Communicator, address string, reopen func() error, config Config) (*connection.Datagram, error) {
	if reopen == nil {
		panic("logrotate: nil function")
	}
	log := config.Logger
	if log == nil {
		log = loop.Logger()
	}
	name := config.Name
	if name == "" {
		name = address
	}
	mux := dispatcher.New(dispatcher.Config{Logger: log.With("socket", name)})
	if err := mux.AddDefaults(dispatcher.Service{ReopenLogs: reopen}); err != nil {
		return nil, err
	}
	d, err := listen(loop, address, config, connection.NewMessageDatagrams(mux, connection.MessageDatagramConfig{Secret: config.Secret}))
	if err != nil {
		return nil, err
	}
	d.Handle().SetBackground(true)
	return d, nil
}

func listen(loop *communicator.Communicator, address string, config Config, h connection.DatagramHandler) (*connection.Datagram, error) {
	datagram := connection.DatagramConfig{Name: config.Name, Priority: config.Priority, MaxSize: connection.DefaultMaxMessage}
	if strings.HasPrefix(address, "@") || strings.Contains(address, "/") {
		return unixsock.ListenDatagram(loop, address, h, unixsock.DatagramListenConfig{
			Datagram: datagram, Mode: config.Mode, Owner: config.Owner, Group: config.Group,
		})
	}
	if config.Mode != 0 || config.Owner != "" || config.Group != "" {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: ErrNoFile}
	}
	return udp.Listen(loop, address, h, udp.ListenConfig{Datagram: datagram})
}
