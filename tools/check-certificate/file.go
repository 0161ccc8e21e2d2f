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
	errDamagedPEM    = errors.New("a certificate is damaged: its line of BEGIN or END, or its base64")
	errBinary        = errors.New("there are certificates in PEM, and beside them what isn't text")
	errTrusted       = errors.New("a TRUSTED CERTIFICATE, whose settings only openssl knows: openssl x509 makes a plain one of it")
	errPKCS7         = errors.New("PKCS #7: openssl pkcs7 -print_certs takes the certificates out of it")
	errNotRegular    = errors.New("not a regular file; - is the standard input")
)

// readFile returns the certificates of a file, at least one: PEM, between whatever else, or DER.
func readFile(name string, in io.Reader) ([]*x509.Certificate, error) {
	if name != stdin {
		// To open a named pipe may take for ever, and so may it to read one.
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular() && !info.IsDir(): // a directory's own error is clearer
			return nil, errNotRegular
		}
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
	data = bytes.TrimPrefix(data, []byte("\uFEFF")) // the mark of some editors
	// What only looks like a line of PEM counts too, and is found missing among what package pem takes.
	marks := bytes.Join(bytes.Fields(bytes.ToUpper(data)), []byte(" "))
	switch {
	case mentions(marks, "BEGIN TRUSTED CERTIFICATE-") != 0:
		return nil, errTrusted
	case mentions(marks, "BEGIN PKCS7-", "BEGIN PKCS #7 SIGNED DATA-", "BEGIN CMS-") != 0:
		return nil, errPKCS7
	}
	begun := max(
		mentions(marks, "BEGIN CERTIFICATE-", "BEGIN X509 CERTIFICATE-"),
		mentions(marks, "END CERTIFICATE-", "END X509 CERTIFICATE-"),
	)
	if begun == 0 {
		if len(data) == 0 || data[0] != 0x30 { // an ASN.1 sequence
			return nil, errNoCertificate
		}
		return x509.ParseCertificates(data)
	}
	if bytes.IndexByte(data, 0) >= 0 { // as in every certificate of DER, and in UTF-16
		return nil, errBinary
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
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

// mentions counts what stands in the lines around a certificate. They count wherever they stand: package pem passes over
// those that don't begin a line or lack a dash.
func mentions(data []byte, lines ...string) (n int) {
	for _, line := range lines {
		n += bytes.Count(data, []byte(line))
	}
	return n
}
