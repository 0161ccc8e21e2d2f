package run

import (
	"fmt"
	"slices"
)

// Quantile returns the element below which the share q of the others lies, 0 for
// an empty slice. It sorts a copy.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Clone(values)
	slices.Sort(v)
	return v[int(q*float64(len(v)-1))]
}

// Median returns the middle of the values, of an even number the mean of the two
// in the middle.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Clone(values)
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// Verdict says for a table whether a figure meets its target, which is the largest
// it may be; nothing when the target is 0. What was disturbed neither meets nor
// misses one.
func Verdict(figure, target float64, unsure bool) string {
	switch {
	case target == 0:
		return ""
	case unsure:
		return fmt.Sprintf(", target %g NOT JUDGED", target)
	case figure <= target:
		return fmt.Sprintf(", target %g met", target)
	}
	return fmt.Sprintf(", target %g MISSED", target)
}
