package ring_test

import (
	"testing"

	"github.com/eventdispatcher-go/eventdispatcher/internal/fdtest"
)

func TestMain(m *testing.M) { fdtest.Main(m) }
