package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// margin is what certificates are valid for in addition to whole days, so that a test may take that long.
const margin = 30 * time.Minute

// in is a moment so many days from now, or ago, and the margin away from changing its number.
func in(days int) time.Time {
	if days < 0 {
		return time.Now().Add(time.Duration(days)*day - margin)
	}
	return time.Now().Add(time.Duration(days)*day + margin)
}

// recordedName is the name of issuer and subject in the recorded transcript.
func recordedName() pkix.Name {
	return pkix.Name{
		CommonName: "test.example", Country: []string{"US"}, Locality: []string{"City"}, Province: []string{"California"},
		Organization: []string{"Test Org"}, OrganizationalUnit: []string{"Unit"},
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "a@b.c"}},
	}
}

var (
	ecKey    = sync.OnceValue(newKey)
	otherKey = sync.OnceValue(newKey) // nobody's
	// rsaKey is for what has ciphers of old only.
	rsaKey = sync.OnceValue(func() crypto.Signer {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return key
	})
)

func newKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// edit changes a certificate before it is signed.
type edit func(*x509.Certificate)

// issue makes a certificate for localhost that ends in so many days, signed by parent, or by itself.
func issue(tb testing.TB, parent *tls.Certificate, key crypto.Signer, days int, edits ...edit) tls.Certificate {
	tb.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(0xabc), Subject: recordedName(),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: time.Now().Add(-300 * day), NotAfter: in(days),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	for _, edit := range edits {
		edit(c)
	}
	signer, signing := c, key
	if parent != nil {
		signer, signing = parent.Leaf, parent.PrivateKey.(crypto.Signer)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, signer, key.Public(), signing)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	made := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	if parent != nil && parent.Leaf.Subject.CommonName != rootName {
		made.Certificate = append(made.Certificate, parent.Certificate...)
	}
	return made
}

// rootName is the common name of the root, which isn't sent.
const rootName = "test.example"

// authority makes a certificate one that signs others.
func authority(name string) edit {
	return func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		c.DNSNames, c.IPAddresses = nil, nil
		if name != rootName {
			c.Subject = pkix.Name{CommonName: name}
		}
	}
}

// newRoot makes the certificate that signs the others, with the recorded name.
func newRoot(tb testing.TB) *tls.Certificate {
	root := issue(tb, nil, ecKey(), 4000, authority(rootName))
	return &root
}

// pemOf is a file of certificates, each in DER.
func pemOf(certificates ...[]byte) (text []byte) {
	for _, der := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}

// keyPEM is a private key in a file.
func keyPEM(tb testing.TB, key crypto.Signer) []byte {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// save writes a file and returns its path.
func save(tb testing.TB, dir, name string, data []byte) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
