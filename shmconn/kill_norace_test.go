//go:build linux && !race

package shmconn_test

// killRounds is how many processes each test kills.
const killRounds = 50
