//go:build linux

package tcp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tcp"
)

// program is a running openssl, until the test ends.
type program struct {
	tb    testing.TB
	in    io.Writer
	lines chan string // what it says
}

// openssl starts one, or skips the test.
func openssl(tb testing.TB, arguments ...string) *program {
	tb.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		tb.Skip("there is no openssl on the PATH")
	}
	ctx, kill := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, path, arguments...)
	in, err := command.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, said := io.Pipe()
	command.Stdout, command.Stderr = said, said
	p := &program{tb: tb, in: in, lines: make(chan string, 10_000)}
	if err := command.Start(); err != nil {
		kill()
		tb.Fatal(err)
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	})
	tb.Cleanup(func() {
		kill()
		_ = command.Wait()
		_ = said.Close()
		reader.Wait()
	})
	return p
}

// say writes a line to it.
func (p *program) say(line string) {
	p.tb.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.tb.Fatal(err)
	}
}

// hear waits for a line that begins so, and returns the rest of it.
func (p *program) hear(prefix string) string {
	p.tb.Helper()
	var before []string
	for {
		line := looptest.Await(p.tb, p.lines, "a line that begins with "+prefix)
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return rest
		}
		if before = append(before, line); line == "" && len(p.lines) == 0 && len(before) > 1000 {
			p.tb.Fatalf("openssl has ended: %q", before[:50])
		}
	}
}

// flags are openssl's names of the versions.
var flags = map[uint16]string{tls.VersionTLS12: "-tls1_2", tls.VersionTLS13: "-tls1_3"}

// TestOpenSSLClient: openssl's client verifies the server and gets its lines back, in 1.3 with new keys on
// both sides in between.
func TestOpenSSLClient(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		r := serveTLS(t, service{})
		client := openssl(t, "s_client", "-connect", r.address, flags[version],
			"-CAfile", r.authority.File(t), "-verify_ip", "127.0.0.1", "-verify_return_error")
		client.hear("Verification: OK")
		client.say("good morning")
		client.hear("good morning")
		if version == tls.VersionTLS13 {
			for _, command := range []string{"K", "k"} { // with an answer and without
				client.say(command)
				client.hear("KEYUPDATE")
				client.say("after " + command)
				client.hear("after " + command)
			}
		}
	})
}

// TestOpenSSLServer: a dialer verifies openssl's server, and gets its lines back, which that reverses.
func TestOpenSSLServer(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		r := turn(t, communicator.Config{})
		authority := tlstest.NewAuthority(t)
		cert, key := tlstest.Files(t, authority.Issue(t, "127.0.0.1"))
		server := openssl(t, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-rev", flags[version])
		c := r.call(tcp.Dialer{Address: server.hear("ACCEPT "), TLS: &tls.Config{RootCAs: authority.Pool()}})
		if err := c.outcome(); err != nil {
			t.Fatal(err)
		}
		r.do(func() { _, _ = io.WriteString(c.stream, "stressed\n") })
		if got := looptest.Await(t, c.data, "an answer"); got != "desserts\n" {
			t.Errorf("got %q", got)
		}
	})
}

// TestRenegotiation: a server that asks for another handshake ends the connection, also where the user's
// config would let it have one: that can't be left and resumed. A client that asks for one is turned down.
func TestRenegotiation(t *testing.T) {
	r := serveTLS(t, service{config: ofVersion(&tls.Config{}, tls.VersionTLS12)})
	cert, key := tlstest.Files(t, r.authority.Issue(t, "127.0.0.1"))
	server := openssl(t, "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-tls1_2")
	config := r.client()
	config.Renegotiation = tls.RenegotiateFreelyAsClient
	c := r.call(tcp.Dialer{Address: server.hear("ACCEPT "), TLS: config})
	if err := c.outcome(); err != nil {
		t.Fatal(err)
	}
	server.hear("CIPHER is ")
	server.say("r")
	if err := c.end(); err == nil || !strings.Contains(err.Error(), "no renegotiation") || errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}

	client := openssl(t, "s_client", "-connect", r.address, "-tls1_2")
	client.hear("SSL handshake has read ")
	client.say("R")
	client.hear("RENEGOTIATING")
	r.goesOn()
}
