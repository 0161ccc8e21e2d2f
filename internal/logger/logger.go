// Package logger chooses the logger of a component whose user named none.
//
// It is internal: users hand a *slog.Logger to the Config of what they build.
package logger

import (
	"log/slog"

	"github.com/sirupsen/logrus"
	logrusslog "github.com/sirupsen/logrus/hooks/slog"
)

// Or returns l, or a logger that writes to logrus' standard logger when l is nil.
func Or(l *slog.Logger) *slog.Logger {
	if l != nil {
		return l
	}
	return slog.New(logrusslog.NewHandler(logrus.StandardLogger(), nil))
}
