package ring_test

import (
	"testing"
)

var worlds = map[string]world{
	"small records, one by one":  {capacity: 32, sizes: []int{8, 8, 8, 8, 8, 8}},
	"a stream":  {capacity: 64, stream: true, sizes: []int{16, 8, 16, 16, 16, 8, 16}},
	"pads":  {capacity: 64, sizes: []int{16, 8, 16, 16, 16, 8, 16}},
	"stages":  {capacity: 64, stages:true, sizes: []int{16, 8, 16, 16, 16, 8, 16}},
	"stops":  {capacity: 64, stops:true, sizes: []int{16, 8, 16, 16, 16, 8, 16}},
	"try":  {capacity: 64, try:8, sizes: []int{16, 8, 16, 16, 16, 8, 16}},
	"drain":  {capacity: 64, drain:3, sizes: []int{16, 16, 16, 16, 16}},
	"holds":  {capacity: 64, holds:true, sizes: []int{16, 8, 16, 16, 16, 8}},
	"all":  {capacity: 64, holds:true, stops: true, stages: true, try: 16, sizes: []int{16, 16, 16, 16, 16, 8}},
}

func TestModel(t *testing.T) {
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) {
			w.code = realCode
			states, broken := explore(w)
			if broken != "" {
				t.Fatal(broken)
			}
			t.Logf("%d states", states)
		})
	}
}
