//go:build linux

package systemd_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
	"github.com/eventdispatcher-go/eventdispatcher/message"
)

func TestMain(m *testing.M) { fdtest.Main(m) }

const patience = 20 * time.Second

// installed returns where a program is, or skips the test.
func installed(t *testing.T, name string) string {
	t.Helper()
	for _, place := range []string{name, "/usr/sbin/" + name} { // which is on the path of root alone, in places
		if path, err := exec.LookPath(place); err == nil {
			return path
		}
	}
	t.Skipf("%s isn't installed", name)
	return ""
}

func read(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func write(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

var program = regexp.MustCompile(`/usr/local/bin/[a-z-]+`)

// TestUnits has systemd look at the units, with a program that exists in the place of each.
func TestUnits(t *testing.T) {
	analyze := installed(t, "systemd-analyze")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for _, name := range []string{"demo.service", "check-certificate.service", "check-certificate.timer"} {
		text := read(t, name)
		if strings.HasSuffix(name, ".service") && !program.MatchString(text) {
			t.Errorf("%s runs nothing in /usr/local/bin", name)
		}
		write(t, filepath.Join(dir, name), program.ReplaceAllLiteralString(text, self))
		args = append(args, filepath.Join(dir, name))
	}
	out, err := exec.Command(analyze, args...).CombinedOutput()
	// It may have to say something of the machine's units, too.
	if about := regexp.MustCompile(`demo\.|check-certificate\.`); err != nil || about.Match(out) {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

// machine is a place for all that the files name.
type machine struct {
	tb    testing.TB
	paths *strings.Replacer
	logs  string // in the place of /var/log/demo
	run   string // in that of /run/demo
}

// instructions are the lines of README.md that build the programs and install them.
var instructions = regexp.MustCompile(`(?m)^    (go build .*|sudo install .* /usr/local/bin/)$`)

// build makes a machine with the programs, as README.md says.
func build(tb testing.TB) *machine {
	tb.Helper()
	dir := tb.TempDir()
	m := &machine{tb: tb, logs: filepath.Join(dir, "logs"), run: filepath.Join(dir, "run")}
	bin := filepath.Join(dir, "bin")
	for _, folder := range []string{m.logs, m.run, bin} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	here := strings.NewReplacer(" bin/", " "+filepath.Join(dir, "built")+"/", "/usr/local/bin", bin, "sudo ", "")
	for _, line := range instructions.FindAllStringSubmatch(read(tb, "README.md"), -1) {
		cmd := exec.Command("sh", "-c", here.Replace(line[1]))
		cmd.Dir = filepath.Join("..", "..")
		// Version stamps fail in a checkout that belongs to another user.
		cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false "+os.Getenv("GOFLAGS"))
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			tb.Fatalf("%s: %v\n%s", line[1], err, out)
		}
	}
	for _, name := range []string{"demo", "ed-signal", "ed-stop", "check-certificate"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			tb.Fatal(err)
		}
	}
	owner, err := user.Current()
	if err != nil {
		tb.Fatal(err)
	}
	group, err := user.LookupGroupId(owner.Gid)
	if err != nil {
		tb.Fatal(err)
	}
	m.paths = strings.NewReplacer(
		"/usr/local/bin", bin, "/var/log/demo", m.logs, "/run/demo", m.run,
		"su demo demo", "su "+owner.Username+" "+group.Name,
		"127.0.0.1:4040", "127.0.0.1:0",
	)
	return m
}

// command returns what a line of the unit runs.
func (m *machine) command(key, mainPID string) *exec.Cmd {
	m.tb.Helper()
	unit := strings.ReplaceAll(read(m.tb, "demo.service"), "\\\n", " ")
	_, line, found := strings.Cut(unit, "\n"+key+"=")
	if !found {
		m.tb.Fatalf("the unit has no %s", key)
	}
	line, _, _ = strings.Cut(line, "\n")
	args := strings.Fields(strings.ReplaceAll(m.paths.Replace(line), "$MAINPID", mainPID))
	return exec.Command(args[0], args[1:]...)
}

// process is the service at work.
type process struct {
	*exec.Cmd
	tb      testing.TB
	tcp     string
	printed *strings.Builder
}

// start runs what the unit starts, and waits until it listens.
func (m *machine) start() *process {
	m.tb.Helper()
	p := &process{Cmd: m.command("ExecStart", ""), tb: m.tb, printed: &strings.Builder{}}
	p.Stderr = p.printed
	stdout, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		m.tb.Fatal(err)
	}
	m.tb.Cleanup(func() {
		_ = p.Process.Kill() // does nothing if it has ended
		_ = p.Wait()
	})
	lines := bufio.NewScanner(stdout)
	for p.tcp == "" && lines.Scan() {
		if address, found := strings.CutPrefix(lines.Text(), "listening tcp "); found {
			p.tcp = address
		}
	}
	if p.tcp == "" {
		_ = p.Wait()
		m.tb.Fatalf("it doesn't listen, and printed %s", p.printed)
	}
	return p
}

// ask sends messages, and waits until the last one is answered.
func ask(tb testing.TB, conn net.Conn, text string) {
	tb.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintln(conn, text); err != nil {
		tb.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	n, err := conn.Read(buf)
	if err != nil {
		tb.Fatalf("%q: %v", text, err)
	}
	if _, err := message.Parse(string(buf[:n])); err != nil {
		tb.Fatalf("%q was answered with %q: %v", text, buf[:n], err)
	}
}

// tell sends the service a message that it logs, and waits until it has.
func (p *process) tell(text string) {
	p.tb.Helper()
	conn, err := net.Dial("tcp", p.tcp)
	if err != nil {
		p.tb.Fatal(err)
	}
	defer conn.Close()
	ask(p.tb, conn, text+"\nPING")
}

// reopened waits until the service has done what was sent to its socket before.
func (m *machine) reopened() {
	m.tb.Helper()
	own := &net.UnixAddr{Net: "unixgram", Name: filepath.Join(m.tb.TempDir(), "c")}
	conn, err := net.DialUnix("unixgram", own, &net.UnixAddr{Net: "unixgram", Name: filepath.Join(m.run, "log.sock")})
	if err != nil {
		m.tb.Fatal(err)
	}
	defer conn.Close()
	ask(m.tb, conn, "ALIVE")
}

// holds holds that there are these logs, each with one line, in which that is.
func (m *machine) holds(want map[string]string) {
	m.tb.Helper()
	names, err := filepath.Glob(filepath.Join(m.logs, "*"))
	if err != nil || len(names) != len(want) {
		m.tb.Errorf("there are %v, %v", names, err)
	}
	for name, what := range want {
		text := read(m.tb, filepath.Join(m.logs, name))
		if strings.HasSuffix(name, ".gz") {
			text = unpack(m.tb, text)
		}
		if strings.Count(text, "\n") != 1 || !strings.Contains(text, what) {
			m.tb.Errorf("%s holds %q, want %q", name, text, what)
		}
	}
}

func unpack(tb testing.TB, packed string) string {
	tb.Helper()
	r, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		tb.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// TestLogrotate runs the service as the unit does, has its log rotated by the snippet, again and again, and stops it as
// the unit does.
func TestLogrotate(t *testing.T) {
	logrotate := installed(t, "logrotate")
	m := build(t)
	conf, state := filepath.Join(t.TempDir(), "demo"), filepath.Join(t.TempDir(), "state")
	write(t, conf, m.paths.Replace(read(t, "demo.logrotate")))
	rotate := func() {
		t.Helper()
		if out, err := exec.Command(logrotate, "-f", "-s", state, conf).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("logrotate: %v\n%s", err, out)
		}
	}

	p := m.start()
	p.tell("RESTART")
	m.holds(map[string]string{"demo.log": "told to restart"})
	if info, err := os.Stat(filepath.Join(m.logs, "demo.log")); err != nil || info.Mode()&^0o640 != 0 {
		t.Errorf("the log has %v, %v", info.Mode(), err)
	}
	rotate()
	m.reopened()
	p.tell("QUITTING")
	m.holds(map[string]string{"demo.log.1": "told to restart", "demo.log": "a peer is quitting"})
	rotate()
	m.reopened()
	p.tell("INVALID")
	m.holds(map[string]string{"demo.log.2.gz": "told to restart", "demo.log.1": "a peer is quitting", "demo.log": "a peer refused"})

	if out, err := m.command("ExecStop", fmt.Sprint(p.Process.Pid)).CombinedOutput(); err != nil {
		t.Errorf("ExecStop: %v\n%s", err, out)
	}
	if err := p.Wait(); err != nil || p.printed.Len() > 0 {
		t.Errorf("the service has ended with %v, and printed %s", err, p.printed)
	}
	if out, err := m.command("ExecStop", "").CombinedOutput(); err != nil { // as when it has ended before
		t.Errorf("ExecStop without a process: %v\n%s", err, out)
	}

	for range 2 { // nobody is there to be told; and then there is no log
		rotate()
		m.holds(map[string]string{
			"demo.log.3.gz": "told to restart", "demo.log.2.gz": "a peer is quitting", "demo.log.1": "a peer refused",
		})
	}
}
