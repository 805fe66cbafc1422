// Functions inlined into one another, and what Go itself says of calls from them: "OUTERMOST,...,INNERMOST ADDRESS", of
// the return address. It then waits.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

type number interface{ ~int | ~float64 }

//go:noinline
func say() {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	names := []string{}
	for {
		frame, more := frames.Next()
		names = append([]string{frame.Function}, names...)
		if !more || frame.Func != nil { // it is the function that the others are inlined into
			break
		}
	}
	fmt.Printf("%s %x\n", strings.Join(names, ","), pcs[0])
}

func first() { say() }

func second() { first() }

type shape struct{ sides int }

func (s *shape) third() {
	if s.sides > 2 {
		second()
	}
}

func generic[T number](x T) T {
	say()
	return x + 1
}

//go:noinline
func outer(s *shape) {
	s.third()
	say()
	s.sides = generic(s.sides)
	second()
}

func main() {
	outer(&shape{3})
	func() { first() }()
	os.Stdin.Read(make([]byte, 1))
}
