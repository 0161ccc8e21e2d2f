//go:build linux && race

package conntest

// raced is whether the race detector runs, under which everything takes ten times as long.
const raced = true
