package closed_test

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/closed"
)

func TestNew(t *testing.T) {
	one, other := closed.New("one: closed"), closed.New("one: closed")
	wrapped := fmt.Errorf("about it: %w", one)
	switch {
	case !errors.Is(wrapped, net.ErrClosed), !errors.Is(wrapped, one):
		t.Error("it is not what it stands for")
	case errors.Is(wrapped, other), errors.Is(one, errors.ErrUnsupported):
		t.Error("it is what it doesn't stand for")
	case wrapped.Error() != "about it: one: closed":
		t.Errorf("its text is %q", wrapped)
	}
}
