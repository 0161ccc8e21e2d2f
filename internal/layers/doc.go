// Package layers holds no code, only the test of the house rules that a
// compiler can't hold: which package may import which, that system calls are
// made in one place, that no file grows beyond reading, that no test sleeps,
// that every package says what it is for.
//
// A package that is new to the project gets its place in the table at the top
// of layers_test.go. Nothing imports this package.
package layers
