package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// job is the smallest useful thing that a tool does without a peer. It runs in the folder that writeFiles has filled.
type job struct {
	args []string
	// says is what it has to print, on the standard output or the standard error. Empty: that doesn't matter.
	says string
}

// nobody is a PID that no process has: pid_max is at most 4194304, 2 to the 22nd (proc_sys_kernel(5)), and the PIDs
// are below it.
const nobody = "4194304"

var version = job{args: []string{"--version"}}

// tools are the programs of the folder tools, and what each is given to do besides --version.
var tools = []struct {
	name string
	job
}{
	{"ed-signal", job{[]string{"--dry-run", "PING"}, "PING"}},
	{"ed-stop", job{[]string{"--service", nobody}, "No such process"}},
	{"check-certificate", job{[]string{"--file", "cert.pem"}, "valid"}},
	{"verify-message-definitions", job{[]string{"--verbose", "PING.conf"}, "PING"}},
	{"ed-message", job{[]string{"message.txt"}, `"command":"PING"`}},
}

func toolNames() (names []string) {
	for _, t := range tools {
		names = append(names, t.name)
	}
	return names
}

// writeFiles writes what the jobs read.
func writeFiles(dir string) error {
	cert, err := certificate()
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"cert.pem":    cert,
		"PING.conf":   []byte("[id]\ndescription = the number of the request\ntype = integer\nflags = required\n"),
		"message.txt": []byte("PING id=1\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// certificate makes one that is valid for a year, as PEM.
func certificate() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
