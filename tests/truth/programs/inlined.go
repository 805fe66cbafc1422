// Functions that are inlined into one another, and one that is called from the innermost. A second one is inlined into two.
package main

import (
	"os"
	"strconv"
	"time"
)

var sink uint64

//go:noinline
func leaf(x uint64) uint64 {
	var cells [16]uint64
	for i := 0; i < 3000; i++ {
		x = x*6364136223846793005 + 1442695040888963407
		cells[x&15] = x
	}
	return x + cells[x>>60]
}

func inner(x uint64) uint64 { return leaf(x) + 1 }

func middle(x uint64) uint64 { return inner(x) ^ 3 }

type walker struct{ step uint64 }

func (w *walker) walk(x uint64) uint64 { return middle(x) + w.step }

//go:noinline
func long(w *walker, x uint64) uint64 { return w.walk(x) * 5 }

//go:noinline
func short(x uint64) uint64 { return inner(x) * 7 }

func main() {
	seconds := 1.0
	if len(os.Args) > 1 {
		seconds, _ = strconv.ParseFloat(os.Args[1], 64)
	}
	end := time.Now().Add(time.Duration(seconds * 1e9))
	one := &walker{sink + 2}
	for time.Now().Before(end) {
		for i := 0; i < 20; i++ {
			sink += long(one, sink) + short(sink)
		}
	}
}
