// A chain of functions on the main goroutine, and a goroutine beside it.
package main

import (
	"os"
	"strconv"
	"time"
)

var sink uint64

// Has a frame: a function of Go without one keeps no frame pointer, and nothing else tells its caller.
//
//go:noinline
func leaf(x uint64) uint64 {
	var cells [16]uint64
	for i := 0; i < 3000; i++ {
		x = x*6364136223846793005 + 1442695040888963407
		cells[x&15] = x
	}
	return x + cells[x>>60]
}

//go:noinline
func descend(n int, x uint64) uint64 {
	if n == 1 {
		return leaf(x) + 1
	}
	return descend(n-1, x+uint64(n))*3 + uint64(n)
}

//go:noinline
func beside(end time.Time) uint64 {
	var x uint64
	for time.Now().Before(end) {
		for i := 0; i < 20; i++ {
			x += leaf(x)
		}
	}
	return x
}

func main() {
	seconds := 1.0
	if len(os.Args) > 1 {
		seconds, _ = strconv.ParseFloat(os.Args[1], 64)
	}
	end := time.Now().Add(time.Duration(seconds * 1e9))
	done := make(chan uint64)
	go func() { done <- beside(end) }()
	for time.Now().Before(end) {
		for i := 0; i < 20; i++ {
			sink += descend(12, sink)
		}
	}
	sink += <-done
}
