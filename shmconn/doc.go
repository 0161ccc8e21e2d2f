//go:build linux

// Package shmconn listens and dials for connections through shared memory, on a loop.
package shmconn
