package logger_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eventdispatcher-go/eventdispatcher/internal/logger"
)

func TestLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		log := slog.New(slog.NewTextHandler(&text, nil))
		var limited logger.Limited
		for range 10 {
			limited.Log(log, slog.LevelWarn, "flood")
		}
		timer := time.NewTimer(time.Second)
		<-timer.C
		limited.Log(log, slog.LevelWarn, "flood")
		if got := text.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "omitted=9") {
			t.Errorf("the log is\n%s", got)
		}
	})
}

func TestOr(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	if logger.Or(log) != log || logger.Or(nil) == nil {
		t.Error("Or returns another logger, or none")
	}
}
