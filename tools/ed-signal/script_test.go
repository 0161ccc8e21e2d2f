package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eventdispatcher-go/eventdispatcher/internal/tlstest"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/receiver"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

// TestProgram plays the scripts of testdata with the real program. They have these commands besides those of
// testscript:
//
//	peer NAME TYPE [-hold] [-reset] [-cut] [-torn] [-deaf] [-abstract] [-greet] [-records] [-tls] [-mutual] [-misnamed] [-long N] [REPLY...]
//	  starts a service, whose address is $NAME then; TYPE is one of --type, or unixpacket; REPLY has Go's escapes;
//	  -cut ends TLS without its alert, -torn in the middle of a record,
//	  -greet sends the replies before it reads, -records takes records of a ring, and with -greet sends them,
//	  -mutual wants certificates of clients, -misnamed has one of another host, -long N adds a REPLY of N bytes
//	received NAME TEXT
//	  waits for what the service has got from the next sender, which has to be TEXT behind the prefix of the program
//	unheard NAME
//	  a udp service has got nothing else
//
// $CA is the file of the authority of all certificates but one, which $OTHER is for; $CERT and $KEY are those of a client.
func TestProgram(t *testing.T) {
	bin := tooltest.Build(t, "tools/ed-signal")
	t.Run("manners", func(t *testing.T) { tooltest.Manners(t, bin, "ed-signal", 1) })
	t.Run("secret", func(t *testing.T) { testSecretIsHidden(t, filepath.Join(bin, "ed-signal")) })

	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	sender := "<" + serverName(hostname) + ":ed_signal "
	ca := tlstest.NewAuthority(t)
	servers := map[string]*tls.Config{
		"-tls":      {Certificates: []tls.Certificate{ca.Issue(t, "localhost", "127.0.0.1", "::1")}},
		"-misnamed": {Certificates: []tls.Certificate{ca.Issue(t, "other.example")}},
		"-mutual": {
			Certificates: []tls.Certificate{ca.Issue(t, "127.0.0.1")},
			ClientCAs:    ca.Pool(),
			ClientAuth:   tls.RequireAndVerifyClientCert,
		},
	}
	cert, key := tlstest.Files(t, ca.Issue(t, "client"))
	files := map[string]string{
		"CA": ca.File(t), "OTHER": tlstest.NewAuthority(t).File(t), "CERT": cert, "KEY": key, "LONG": strings.Repeat("x", 100),
	}
	tooltest.Scripts(t, bin, tooltest.Params{
		Setup: func(env *testscript.Env) error {
			for name, file := range files {
				env.Setenv(name, file)
			}
			// Neither the machine's own file nor its speed matters.
			env.Setenv("ED_SIGNAL", "--config= --timeout=60")
			peers := map[string]*peer{}
			env.Values[peersKey{}] = peers
			env.Defer(func() {
				for p := range maps.Values(peers) {
					p.close()
				}
			})
			return nil
		},
		Commands: map[string]tooltest.Command{
			"peer": func(ts *testscript.TestScript, neg bool, args []string) { startScriptPeer(ts, servers, neg, args) },
			"received": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: received NAME TEXT")
				}
				want := sender + unquoteText(ts, args[1])
				if got := scriptPeer(ts, args[0]).got(); got != want {
					ts.Fatalf("%s has got\n%q, not\n%q", args[0], got, want)
				}
			},
			"unheard": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: unheard NAME")
				}
				p := scriptPeer(ts, args[0])
				ts.Check(p.mark())
				if got := p.got(); got != mark {
					ts.Fatalf("%s has got %q", args[0], got)
				}
			},
		},
	})
}

// peersKey is the key of a script's peers, by name.
type peersKey struct{}

func scriptPeer(ts *testscript.TestScript, name string) *peer {
	p := ts.Value(peersKey{}).(map[string]*peer)[name]
	if p == nil {
		ts.Fatalf("no peer %s", name)
	}
	return p
}

func startScriptPeer(ts *testscript.TestScript, servers map[string]*tls.Config, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: peer NAME TYPE [OPTION...] [REPLY...]")
	}
	name, network := args[0], args[1]
	var b behaviour
	dir := ts.MkAbs(name)
	for args = args[2:]; len(args) > 0; args = args[1:] {
		switch args[0] {
		case "-hold":
			b.hold = true
		case "-reset":
			b.reset = true
		case "-cut":
			b.cut = true
		case "-torn":
			b.torn = true
		case "-deaf":
			b.deaf = true
		case "-abstract":
			dir = ""
		case "-greet":
			b.greet = true
		case "-records":
			b.records = true
		case "-tls", "-mutual", "-misnamed":
			b.tls = servers[args[0]]
		case "-long":
			length, err := strconv.Atoi(args[1])
			ts.Check(err)
			b.replies = append(b.replies, "LONG a="+strings.Repeat("x", length-8)+"\n")
			args = args[1:]
		default:
			b.replies = append(b.replies, unquoteText(ts, args[0]))
		}
	}
	if dir != "" {
		ts.Check(os.Mkdir(dir, 0o700))
	}
	p, err := newPeer(network, dir, b)
	ts.Check(err)
	ts.Value(peersKey{}).(map[string]*peer)[name] = p
	ts.Setenv(name, p.address)
	if _, port, found := strings.Cut(p.address, ":"); found {
		ts.Setenv(name+"_PORT", port)
	}
}

func unquoteText(ts *testscript.TestScript, text string) string {
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	ts.Check(err)
	return text
}

// testSecretIsHidden: while the program waits for the reply, its secret is not in the list of processes, and at no time
// in what it writes.
func testSecretIsHidden(t *testing.T, program string) {
	const secret = "open-sesame"
	file := write(t, secret+"\nmore\n")
	config := write(t, "secret-code="+secret)
	for _, tt := range []struct {
		name, stdin string
		args        []string
		variable    string
	}{
		{"file", "", []string{"--secret-file", file}, ""},
		{"stdin", secret + "\r\nmore\n", []string{"--secret-file", "-"}, ""},
		{"environment", "", nil, "ED_SIGNAL_SECRET=" + secret},
		{"configuration", "", []string{"--config", config}, ""},
		{"configuration with the file", "", []string{"--config", write(t, "secret_file = "+file)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			service, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = service.Close() }()
			var output bytes.Buffer
			address := service.LocalAddr().String()
			args := append([]string{"-H", address, "--config=", "--log-level", "trace", "PING", "-r", "--timeout", "60"}, tt.args...)
			cmd := exec.Command(program, args...)
			cmd.Env = append(os.Environ(), tt.variable)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(tt.stdin), &output, &output
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, receiver.MaxUDP)
			n, from, err := service.ReadFrom(got)
			if err != nil {
				t.Fatal(err)
			}
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
			if _, err := service.WriteTo([]byte("PONG"), from); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, &output)
			}
			if err != nil || !bytes.Contains(line, []byte("trace")) || bytes.Contains(line, []byte(secret)) {
				t.Errorf("the process was %q, %v", line, err)
			}
			if !strings.HasSuffix(string(got[:n]), "PING secret_code="+secret) {
				t.Errorf("sent %q", got[:n])
			}
			if !strings.Contains(output.String(), "level=debug") || strings.Contains(output.String(), secret) {
				t.Errorf("printed %s", &output)
			}
		})
	}
}
