//go:build linux

package connection_test

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/connection"
	"github.com/eventdispatcher-go/eventdispatcher/internal/looptest"
)

// TestFailuresAreLimited: any stranger can make a connection fail, and must not fill the log with it.
func TestFailuresAreLimited(t *testing.T) {
	const n = 20
	loop, log := looptest.New(t)
	failing := connection.DataFunc(func(*connection.Stream, []byte) (int, error) { return 0, errTest })
	l, err := connection.ListenOn(loop, listenTCP(t), connection.Streams(failing, connection.StreamConfig{}), connection.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	start(t, loop)
	for range n {
		conn := dial(t, l.Addr())
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		expectEnd(t, conn)
	}
	looptest.Do(t, loop, func() {})
	if found := log.Containing("a connection failed"); len(found) == 0 || len(found) > n/4 {
		t.Errorf("%d failures of %d were logged", len(found), n)
	}
}
