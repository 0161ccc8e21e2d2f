package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// stdin is the name of the standard input as a file, and shownStdin what it is called in the output.
const (
	stdin      = "-"
	shownStdin = "<stdin>"
)

// maxFile is the size of a file in bytes. All roots of a system are some 200 KiB.
const maxFile = 4 << 20

var (
	errTwice         = errors.New("the standard input can be read once")
	errFileSize      = errors.New("the file is longer than 4 MiB")
	errNoCertificate = errors.New("there is no certificate in it")
	errDamagedPEM    = errors.New("a certificate has no end, or isn't base64")
)

// readFile returns the certificates of a file, at least one: PEM, between whatever else, or DER.
func readFile(name string, in io.Reader) ([]*x509.Certificate, error) {
	if name != stdin {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxFile:
		return nil, errFileSize
	}
	return parse(data)
}

// parse reads certificates. One that can't be read is an error, so that none goes unchecked.
func parse(data []byte) (all []*x509.Certificate, err error) {
	begun := begins(data)
	if begun == 0 {
		if len(data) == 0 || data[0] != 0x30 { // an ASN.1 sequence
			return nil, errNoCertificate
		}
		return x509.ParseCertificates(data)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if !isCertificate(block.Type) {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, certificate)
	}
	if len(all) != begun {
		return nil, errDamagedPEM
	}
	return all, nil
}

func isCertificate(kind string) bool { return kind == "CERTIFICATE" || kind == "X509 CERTIFICATE" }

// begins counts the lines with which a certificate begins.
func begins(data []byte) (n int) {
	for line := range bytes.Lines(data) {
		line, begin := bytes.CutPrefix(bytes.TrimSpace(line), []byte("-----BEGIN "))
		kind, end := bytes.CutSuffix(line, []byte("-----"))
		if begin && end && isCertificate(string(kind)) {
			n++
		}
	}
	return n
}
