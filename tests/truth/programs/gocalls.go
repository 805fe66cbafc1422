// A function without a frame, which keeps no frame pointer; and one of C, which runs on another stack.
package main

/*
static unsigned long __attribute__((noinline)) spin(unsigned long x) {
    for (int i = 0; i < 20000; i++)
        x = x * 6364136223846793005UL + 1442695040888963407UL;
    return x;
}

static unsigned long __attribute__((noinline)) work(unsigned long x) { return spin(x) + 1; }
*/
import "C"

import (
	"os"
	"strconv"
	"time"
)

var sink uint64

//go:noinline
func bare(n int, x uint64) uint64 {
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

//go:noinline
func above(x uint64) uint64 { return bare(20000, x) + 1 }

//go:noinline
func intoC(x uint64) uint64 { return uint64(C.work(C.ulong(x))) + 1 }

func main() {
	seconds := 1.0
	if len(os.Args) > 1 {
		seconds, _ = strconv.ParseFloat(os.Args[1], 64)
	}
	end := time.Now().Add(time.Duration(seconds * 1e9))
	for time.Now().Before(end) {
		for i := 0; i < 20; i++ {
			sink += above(sink) + intoC(sink)
		}
	}
}
