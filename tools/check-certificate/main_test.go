package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/cli"
	"github.com/eventdispatcher-go/eventdispatcher/tools/internal/tooltest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

func TestManners(t *testing.T) {
	tooltest.Manners(t, tooltest.Build(t, "tools/check-certificate"), program, cli.StatusUsage)
}

// TestScripts plays testdata with the servers of farm and the files that fill makes.
func TestScripts(t *testing.T) {
	bin, root := tooltest.Build(t, "tools/check-certificate"), newRoot(t)
	found := farm(t, root)
	tooltest.Scripts(t, bin, tooltest.Params{
		Setup: func(env *testscript.Env) error {
			for name, value := range found {
				env.Setenv(name, value)
			}
			env.Setenv("TZ", "UTC")
			return fill(t, env, root)
		},
	})
}

// fill puts the files that a script can't hold into its folder.
func fill(t *testing.T, env *testscript.Env, root *tls.Certificate) error {
	put := func(name string, data []byte) { save(t, env.WorkDir, name, data) }
	const nepal = 5*60*60 + 45*60 // seconds east
	intermediate := issue(t, root, ecKey(), 13, authority("Middle CA"))
	leaf, chained := issue(t, root, ecKey(), 400), issue(t, &intermediate, ecKey(), 400)
	negative := issue(t, root, ecKey(), 400, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(5) })
	der := pemOf(leaf.Certificate[0])

	client := issue(t, root, ecKey(), 400, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })

	put("client.pem", pemOf(client.Certificate...))
	put("root.pem", pemOf(root.Certificate[0]))
	put("leaf.pem", der)
	put("leaf.der", leaf.Certificate[0])
	put("two.der", append(bytes.Clone(leaf.Certificate[0]), intermediate.Certificate[0]...))
	five := pemOf(issue(t, root, ecKey(), 5).Certificate[0])
	relabel := func(kind string) []byte { return bytes.ReplaceAll(five, []byte(" CERTIFICATE"), []byte(" "+kind)) }
	for name, hidden := range map[string][]byte{
		"word.pem": append([]byte("x "), five...), "cr.pem": bytes.ReplaceAll(five, []byte("\n"), []byte("\r")), "headless.pem": five[20:],
		"dash.pem": five[1:], "later-bom.pem": slices.Concat(der, []byte("\ufeff"), five), "trusted.pem": relabel("TRUSTED CERTIFICATE"),
		"pkcs7.pem": relabel("PKCS7"), "cms.pem": relabel("CMS"), "der.pem": issue(t, root, ecKey(), 5).Certificate[0],
		"small.pem": bytes.ReplaceAll(five, []byte("CERTIFICATE"), []byte("certificate")), "blanks.pem": relabel(" CERTIFICATE"),
		"wide.pem": append(bytes.ReplaceAll(five, nil, []byte("\x00")), '\n'),
	} {
		put(name, append(bytes.Clone(hidden), der...))
	}
	put("bom.pem", slices.Concat([]byte("\ufeff"), five, der))
	put("key.pem", keyPEM(t, ecKey()))
	put("both.pem", append(append(keyPEM(t, ecKey()), "a word between\r\n"...), bytes.ReplaceAll(der, []byte("\n"), []byte("\r\n"))...))
	put("chain.pem", pemOf(append(chained.Certificate, root.Certificate[0])...))
	put("roots.pem", pemOf(root.Certificate[0], newRoot(t).Certificate[0]))
	put("damaged.pem", append(bytes.Clone(der), der[:len(der)-40]...))
	put("base64.pem", append(bytes.Clone(der), "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"...))
	put("content.pem", append(bytes.Clone(der), pemOf([]byte("no ASN.1"))...))
	put("old-type.pem", bytes.ReplaceAll(der, []byte(" CERTIFICATE"), []byte(" X509 CERTIFICATE")))
	put("negative.der", negativeSerial(t, negative.Certificate[0]))
	put("short.der", leaf.Certificate[0][:100])
	put("junk", bytes.Repeat([]byte("\x00\xffjunk-----BEGIN"), 10<<20/14))
	put("large.pem", append(bytes.Repeat([]byte("#\n"), maxFile/2), der...))
	put("begins.pem", bytes.Repeat([]byte("-----BEGIN CERTIFICATE-----\n"), maxFile/28))
	put("zone", zone("KTM", nepal))
	env.Setenv("LEAF_BEGIN", leaf.Leaf.NotBefore.UTC().Format("2006/01/02 15:04:05"))
	env.Setenv("LEAF_END", leaf.Leaf.NotAfter.UTC().Format("2006/01/02 15:04:05"))
	env.Setenv("LEAF_ON", leaf.Leaf.NotAfter.UTC().Format(timeFormat))
	env.Setenv("CHAIN13_ON", intermediate.Leaf.NotAfter.UTC().Format(timeFormat))
	env.Setenv("NEPAL_END", leaf.Leaf.NotAfter.UTC().Add(nepal*time.Second).Format("2006/01/02 15:04:05"))
	return nil
}

// negativeSerial makes the serial number 5 of a certificate -5, which today's crypto/x509 refuses by default.
func negativeSerial(t *testing.T, der []byte) []byte {
	t.Helper()
	five, minus := []byte{0x02, 0x01, 0x05, 0x30}, []byte{0x02, 0x01, 0xfb, 0x30}
	if !bytes.Contains(der, five) {
		t.Fatal("where is the serial number?")
	}
	return bytes.Replace(der, five, minus, 1)
}

// zone is a file of TZ with one offset in seconds (RFC 9636).
func zone(name string, offset int32) []byte {
	file := append([]byte("TZif"), make([]byte, 16)...)
	for _, n := range []uint32{0, 0, 0, 0, 1, uint32(len(name) + 1)} {
		file = binary.BigEndian.AppendUint32(file, n)
	}
	file = binary.BigEndian.AppendUint32(file, uint32(offset))
	return append(append(file, 0, 0), name+"\x00"...)
}

// runHere runs the program in this process.
func runHere(stdin string, args ...string) (status int, stdout, stderr string) {
	var out, err strings.Builder
	status = run(cli.Env{
		Args: args, Getenv: func(string) string { return "" }, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err,
	})
	return status, out.String(), err.String()
}

// full is an output that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestFullOutput: when the output fails, nothing waits for what would be printed later: neither for a server nor for
// the standard input. Otherwise this test ends by its time limit.
func TestFullOutput(t *testing.T) {
	good := issue(t, newRoot(t), ecKey(), 400)
	quick := save(t, t.TempDir(), "good.pem", pemOf(good.Certificate...))
	in, more := io.Pipe()
	t.Cleanup(func() { _ = more.Close() })
	var stderr strings.Builder
	status := run(cli.Env{
		Args:   []string{"--timeout", "1h", "--file", quick, "--file", "-", serve(t, ends)},
		Getenv: func(string) string { return "" }, Stdin: in, Stdout: full{}, Stderr: &stderr,
	})
	if want := "check-certificate: write: no space left on device\n"; status != 1 || stderr.String() != want {
		t.Errorf("status %d, %q, want %q", status, &stderr, want)
	}
}

// TestNagios plays the example of the manual page as it stands there.
func TestNagios(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "doc", "man", program+".1"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\nAs a check of Nagios.*?\n\.Bd [^\n]*\n(.*?)\.Ed\n`).FindSubmatch(page)
	if found == nil {
		t.Fatal("where is the example?")
	}
	root := newRoot(t)
	trusted := save(t, t.TempDir(), "root.pem", pemOf(root.Certificate[0]))
	path := tooltest.Build(t, "tools/check-certificate") + ":" + os.Getenv("PATH")
	nobody := refused(t)
	issued := func(days int) string { return serve(t, secure(issue(t, root, ecKey(), days))) }
	self := serve(t, secure(issue(t, nil, otherKey(), 400)))
	for _, tt := range []struct {
		server string
		status int
		want   string
	}{
		{issued(400), 0, "OK: HOST"},
		{issued(15), 1, "WARNING: HOST: certificate expires in 15 days, on .* [(]limit 28 days[)]"},
		{issued(5), 2, "CRITICAL: HOST: certificate expires in 5 days, on .* [(]limit 7 days[)]"},
		{self, 2, "CRITICAL: HOST: certificate does not verify: certificate signed by unknown authority.*"},
		{nobody, 2, "CRITICAL: check-certificate: HOST: failed to load the certificate: connection refused"},
	} {
		cmd := exec.Command("sh", "-c", string(found[1]))
		cmd.Env = []string{"PATH=" + path, "SSL_CERT_FILE=" + trusted, "SSL_CERT_DIR=" + t.TempDir(), "host=" + tt.server}
		out, err := cmd.CombinedOutput()
		want := "^" + strings.ReplaceAll(tt.want, "HOST", regexp.QuoteMeta(tt.server)) + "\n$"
		if status := exitStatus(err); status != tt.status || !regexp.MustCompile(want).Match(out) {
			t.Errorf("status %d, %q, want %d, %q", status, out, tt.status, want)
		}
	}
}
