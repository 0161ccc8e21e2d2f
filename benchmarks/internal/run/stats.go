package run

import "slices"

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
