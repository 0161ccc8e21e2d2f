//go:build linux

// Package logrotate lets a service work with logrotate(8), which renames a log file and then tells the service to
// open the name again. It is a file that can be opened again, and a socket where the message LOG_ROTATE asks for it.
//
//	file, err := logrotate.Open("/var/log/demo/demo.log", logrotate.FileConfig{})
//	...
//	logrus.SetOutput(file) // or slog.NewTextHandler(file, nil), or log.SetOutput(file)
//	_, err = logrotate.Listen(loop, "/run/demo/log.sock", file.Reopen, logrotate.Config{})
//
// In the snippet of logrotate's configuration:
//
//	postrotate
//		ed-signal --type unixgram --host /run/demo/log.sock LOG_ROTATE
//	endscript
//
// A [File] may be used by any number of goroutines, and needs no loop. What [Listen] brings belongs to the loop's
// goroutine, which is where it calls the function that it was given: to open a file takes some microseconds on a local
// disk, but the loop waits for one that hangs.
//
// # Other ways to be told
//
// A service with a dispatcher takes LOG_ROTATE on its own sockets as well, and SIGHUP does it without any:
//
//	mux.AddDefaults(dispatcher.Service{Name: "demo", ReopenLogs: file.Reopen})
//	signals.Hangup(loop, file.Reopen, communicator.Options{}) // postrotate: systemctl kill --signal=HUP demo
//
// A socket of its own, as Listen makes it, has its own permissions: who may rotate the logs may not stop the service.
//
// # What is lost
//
// By a rotation, nothing. Between the renaming and the message the old file is written, under its new name; a line that
// is being written when the message comes is finished there, and the next one goes to the new file. So what logrotate
// does to the old file has to wait: by delaycompress, which leaves it alone until the next rotation. Don't use
// copytruncate, which loses what is written while it copies. With create, logrotate makes the new file, and its owner
// has to be the service's; with nocreate the service makes it.
//
// If the name can't be opened, the old file goes on being written, and that is where the error is logged.
//
// On a full disk Write fails at once with ENOSPC: logrus says so on the standard error, and the program goes on. The
// line is lost, or its rest. As soon as there is room lines are written again, and the first one begins on a line of its
// own.
//
// # When not to use it
//
// Under journald, write to the standard error: it has its own files, and rotates them itself; so do most managers of
// containers. Nor does the package rotate anything: a program that can't rely on logrotate needs one of the packages
// that count bytes.
package logrotate
