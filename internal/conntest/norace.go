//go:build linux && !race

package conntest

// raced is whether the race detector runs.
const raced = false
