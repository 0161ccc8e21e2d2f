package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	day          = 24 * time.Hour
	defaultLimit = 14 * day
	minLimit     = day
	maxLimit     = 365 * day

	daySeconds = int64(day / time.Second)
)

var (
	errNoSpan     = errors.New("not a span of time: a number of days, such as 60, 60d, 2w, 1.5w or 1y")
	errLimitRange = errors.New("not from 1d to 1y (365 days)")
)

// limit is the option that says how long a certificate has to be valid still.
type limit time.Duration

// Set reads a number of days, or one with a unit: d, w (7 days) or y (365 days).
func (l *limit) Set(text string) error {
	units := map[string]time.Duration{"": day, "d": day, "w": 7 * day, "y": 365 * day}
	unit := strings.TrimLeft(text, "0123456789.")
	length, known := units[unit]
	if !known {
		return errNoSpan
	}
	number, err := strconv.ParseFloat(strings.TrimSuffix(text, unit), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return errNoSpan
	}
	span := number * float64(length)
	if span < float64(minLimit) || span > float64(maxLimit) {
		return errLimitRange
	}
	*l = limit(math.Round(span))
	return nil
}

// days is the limit in days.
func (l *limit) days() float64 {
	const precision = 1e4 // 1.1w is 7.7 days, not 7.700000000000001
	return math.Round(float64(*l)/float64(day)*precision) / precision
}

// seconds is the limit in seconds, rounded up.
func (l *limit) seconds() int64 { return int64(math.Ceil(time.Duration(*l).Seconds())) }

// String is the limit as people say it.
func (l *limit) String() string {
	if *l == limit(day) {
		return "1 day"
	}
	return strconv.FormatFloat(l.days(), 'f', -1, 64) + " days"
}

// Type is what the help of pflag would call it.
func (l *limit) Type() string { return "duration" }
