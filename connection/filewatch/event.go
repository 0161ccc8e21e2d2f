//go:build linux

package filewatch

import "strings"

// Op is a set of what can happen to a file. The first nine are what a Watch asks for; the others
// come whether they are asked for or not, Exists only with Watch.Exists.
type Op uint16

// What can happen to a file.
const (
	// Created: the name appeared, by making, linking, or moving the file there. A rename over a file
	// that had the name is Created as well, of the new file, without a Removed of the old one.
	Created Op = 1 << iota
	// Written: it was written to or cut off. It can come many times for one file, half-written.
	Written
	// Finished: it is complete: one who could write to it has closed it, or it was moved there. This is
	// when to read it. Of one that was found in a directory which has appeared see the package's section
	// "Directories that appear"; it may be Finished once more. Only regular files are Finished, or what has gone
	// again by then. A directory that was moved there is Created, and so is a file that has got a further name by
	// a hard link, because nobody closes it under that.
	Finished
	// Removed: the name has gone, by deleting the file or moving it away. With a directory goes all
	// that is in it, and only if it is deleted, not moved, is there a Removed for each.
	Removed
	// Renamed: it has another name within what is watched; Event.From is the old one. All that is in
	// a directory goes with it. Without Renamed in Watch.Ops there are Removed and Created instead; these
	// also come when the two names can't be brought together: when one is outside, or the loop comes so late
	// that a directory has another name again.
	Renamed
	// Attributes: mode, owner, times, number of links, or extended attributes were changed. For a
	// directory it may come twice.
	Attributes
	// Opened, Accessed (read) and Closed (by one who couldn't write) are told of files, not of
	// directories.
	Opened
	Accessed
	Closed

	// Exists: it was there when the watch began, or still is after an Overflow.
	Exists
	// Overflow: events of this root were lost; each root that the loss may concern has one, when it is watched
	// again. What has been learnt of the files is void: with Watch.Exists those that are there follow, while the
	// directories below are being watched; otherwise these are watched, too, and the program has to look for itself.
	Overflow
	// Gone: the directory was removed, moved or unmounted. If it is the root, as it mostly is, the
	// watch has ended, and Add can be called again when the root is back.
	Gone
	// Failed: the directory can't be watched or read, Event.Err says why; the rest goes on, and this one isn't tried
	// again. It may come twice.
	Failed
)

const (
	// defaultOps is what a Watch without Ops gets.
	defaultOps = Created | Written | Removed
	// askable are the operations that a Watch may ask for.
	askable = Created | Written | Finished | Removed | Renamed | Attributes | Opened | Accessed | Closed
	// common are those that fsnotify reports.
	common = Created | Written | Removed | Attributes
)

// opNames are in the order of the constants.
var opNames = [...]string{
	"created", "written", "finished", "removed", "renamed", "attributes", "opened", "accessed", "closed",
	"exists", "overflow", "gone", "failed",
}

// Has tells whether one of these operations is in the set.
func (o Op) Has(ops Op) bool { return o&ops != 0 }

// String names the operations: "created+finished", "none".
func (o Op) String() string {
	var names []string
	for i, name := range opNames {
		if o.Has(1 << i) {
			names = append(names, name)
		}
	}
	if o >= 1<<len(opNames) {
		names = append(names, "unknown")
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, "+")
}

// Event is what has happened to a file. Several operations may come in one event, as Created and
// Finished of a file that was moved in: test with Op.Has.
type Event struct {
	// Path is Root, or Root joined with what is below.
	Path string
	// From is the old path after Renamed, else empty.
	From string
	// Root is the path given to Add, cleaned as by filepath.Clean.
	Root string
	// Err comes with Failed: fs.ErrPermission, ErrTooMany, ErrWatches or another.
	Err error
	Op  Op
	// Guessed comes with Finished of a file that was found in a directory which has appeared, when the kernel doesn't
	// say whether it is still being written. If it is, another Finished follows.
	Guessed bool
	// Directory tells that it is or was a directory. Of what was removed that isn't always known: see
	// the package's section "Two sources".
	Directory bool
}

// String is the event for people: "created+finished /etc/demo.conf".
func (e Event) String() string {
	text := e.Op.String() + " " + e.Path
	if e.From != "" {
		text += " from " + e.From
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}
