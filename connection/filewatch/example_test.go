//go:build linux

package filewatch_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/eventdispatcher-go/eventdispatcher/communicator"
	"github.com/eventdispatcher-go/eventdispatcher/connection/filewatch"
)

// A program reads its configuration when it has been written anew, by whatever means.
func Example() {
	dir, err := os.MkdirTemp("", "filewatch")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	conf := filepath.Join(dir, "demo.conf")
	if err := os.WriteFile(conf, []byte("colour=red"), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	reload := func(e filewatch.Event) error {
		text, err := os.ReadFile(e.Path)
		if err != nil {
			return nil //nolint:nilerr // it has gone again, or changes just now: another event follows
		}
		fmt.Printf("%v: %s\n", e.Op, text)
		if !e.Op.Has(filewatch.Exists) {
			loop.Stop(nil)
			return nil
		}
		next := conf + ".new" // as editors do
		if err := os.WriteFile(next, []byte("colour=blue"), 0o600); err != nil {
			return err
		}
		return os.Rename(next, conf)
	}
	w, err := filewatch.New(loop, reload, filewatch.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Add(conf, filewatch.Watch{Ops: filewatch.Finished, Exists: true}); err != nil {
		fmt.Println(err)
		return
	}
	if err := loop.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// exists: colour=red
	// finished: colour=blue
}

// All files of a kind in a tree, also in directories that appear later.
func ExampleWatcher_Add() {
	dir, err := os.MkdirTemp("", "filewatch")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	loop, err := communicator.New(communicator.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var w *filewatch.Watcher
	w, err = filewatch.New(loop, func(e filewatch.Event) error {
		name, err := filepath.Rel(e.Root, e.Path)
		fmt.Println(e.Op, name)
		w.Close() // the loop ends, because nothing is left
		return err
	}, filewatch.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	watch := filewatch.Watch{Recursive: true, Patterns: []string{"*.conf", "*.d"}, Ops: filewatch.Created}
	if err := w.Add(dir, watch); err != nil {
		fmt.Println(err)
		return
	}
	if err := os.MkdirAll(filepath.Join(dir, "site", "demo"), 0o755); err != nil {
		fmt.Println(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, "site", "demo", "a.conf"), nil, 0o600); err != nil {
		fmt.Println(err)
		return
	}
	if err := loop.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// created site/demo/a.conf
}
