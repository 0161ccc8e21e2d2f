//go:build linux

package tcp

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection"
)

// dialTLS connects, and then makes the handshake in what is left of the time.
func (d Dialer) dialTLS(loop *communicator.Communicator, done func(connection.Transport, error)) (cancel func(), err error) {
	if d.Timeout <= 0 {
		d.Timeout = connection.DefaultDialTimeout
	}
	end := time.Now().Add(d.Timeout)
	pool := d.Handshakes
	if pool == nil {
		pool = NewHandshakes(HandshakeConfig{Max: 1, Priority: d.Priority})
	}
	var stop func() // what is under way
	stop, err = d.connect(loop, func(t connection.Transport, err error) {
		if err == nil {
			var giveUp func()
			giveUp, err = pool.begin(loop, t, tls.Client, d.clientConfig(), end, func(c *TLSConn, err error) {
				if err != nil {
					done(nil, err)
					return
				}
				done(c, nil)
			})
			if err == nil {
				stop = giveUp
			}
		}
		if err != nil {
			done(nil, err)
		}
	})
	if err != nil {
		return nil, err
	}
	return func() { stop() }, nil
}

// clientConfig is the user's config, with the name of the server that the certificate has to have. A server that asks
// for another handshake ends the connection, as it does by default: this one could not leave it and come back.
func (d *Dialer) clientConfig() *tls.Config {
	config := d.TLS.Clone()
	config.Renegotiation = tls.RenegotiateNever
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(d.Address)
	}
	if config.ServerName == "" {
		config.ServerName = "localhost"
	}
	return config
}
