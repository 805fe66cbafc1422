// Burns CPU in descend and leaf, keeps memory, waits for a mutex; writes Go's own profiles of that.
// usage: profiles FOLDER
package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

//go:noinline
func leaf(x uint64) uint64 {
	for i := 0; i < 2000; i++ {
		x ^= x << 13
		x ^= x >> 7
	}
	return x
}

//go:noinline
func descend(n int, x uint64) uint64 {
	if n <= 0 {
		return leaf(x) + 1
	}
	return descend(n-1, x) + 1
}

//go:noinline
func keep(kept [][]byte) [][]byte {
	return append(kept, make([]byte, 1<<20))
}

func burn() uint64 {
	var sum uint64
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
		sum += descend(10, sum)
	}
	return sum
}

func wait() {
	var m sync.Mutex
	m.Lock()
	go func() {
		time.Sleep(50 * time.Millisecond)
		m.Unlock()
	}()
	m.Lock()
}

func write(folder, name string) *os.File {
	file, err := os.Create(folder + "/" + name)
	if err != nil {
		panic(err)
	}
	return file
}

func main() {
	runtime.SetBlockProfileRate(1)
	file := write(os.Args[1], "cpu")
	pprof.StartCPUProfile(file)
	sum := burn()
	pprof.StopCPUProfile()
	file.Close()
	var kept [][]byte
	for i := 0; i < 64; i++ {
		kept = keep(kept)
	}
	wait()
	runtime.GC()
	for _, name := range []string{"heap", "block"} {
		file := write(os.Args[1], name)
		pprof.Lookup(name).WriteTo(file, 0)
		file.Close()
	}
	runtime.KeepAlive(kept)
	println(sum)
}
