//go:build linux && race

package shmconn_test

// killRounds is how many processes each test kills: starting one takes longer under the race detector.
const killRounds = 20
