//go:build race

package ring_test

// raceDetector says that everything takes some ten times as long: the tests do less of the same.
const raceDetector = true
