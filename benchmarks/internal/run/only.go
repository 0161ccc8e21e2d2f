package run

import (
	"fmt"
	"slices"
	"strings"
)

// Only is the flag --only: a list with commas that names scenarios, servers or
// both. A kind it does not name is not restricted.
type Only string

// Wants reports whether it lets one of a kind through.
func (o Only) Wants(name string, kind []string) bool {
	restricted := false
	for part := range strings.SplitSeq(string(o), ",") {
		if part == name {
			return true
		}
		restricted = restricted || slices.Contains(kind, part)
	}
	return !restricted
}

// Check refuses words that name nothing.
func (o Only) Check(known ...[]string) error {
	if o == "" {
		return nil
	}
	for part := range strings.SplitSeq(string(o), ",") {
		if !slices.ContainsFunc(known, func(kind []string) bool { return slices.Contains(kind, part) }) {
			return fmt.Errorf("--only %s: want one of %v", part, known)
		}
	}
	return nil
}
