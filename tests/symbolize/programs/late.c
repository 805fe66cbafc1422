// A library that is loaded while its process is already known.
__attribute__((noinline)) int late_function(int n) { return n * 7 + 1; }
