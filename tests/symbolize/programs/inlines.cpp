// Functions inlined three deep, in several ways: see test_inlines.py. Prints "NAME ADDRESS" lines and waits.
#include <cstdio>
#include <cstdlib>

#define INLINE __attribute__((always_inline)) inline
#define OUTER __attribute__((noinline))

volatile unsigned sink;

namespace deep {
INLINE unsigned third(unsigned x) {
    for (unsigned i = 0; i < 3; i++) sink = sink + x * i;
    return sink ^ x;
}
}  // namespace deep
using deep::third;

namespace {
INLINE unsigned hidden(unsigned x) { return third(x) + 1; }
}  // namespace

struct Mixer {
    unsigned state;
    INLINE unsigned second(unsigned x) const { return third(x + state) * 3 + third(x ^ 5); }
};

template <typename T>
INLINE T first(T x, const Mixer &mixer) {
    sink = sink + 1;
    return mixer.second(x) + 7;
}

OUTER unsigned outer_plain(unsigned x) {
    Mixer mixer{x};
    unsigned a = first<unsigned>(x, mixer);
    sink = sink + a;
    return a + first<unsigned>(a, mixer);
}

// The compiler gives no linkage name to what only this file can call: not compared with addr2line, which then says
// the name of the outermost function instead.
OUTER unsigned private_names(unsigned x) {
    auto twice = [](unsigned y) __attribute__((always_inline)) { return hidden(y) + third(y + 1); };
    return twice(x) + sink;
}

OUTER unsigned outer_cold(unsigned x) {
    if (__builtin_expect(x == 12345, 0)) {
        sink = third(x);
        abort();
    }
    return third(x) + 1;
}

int main() {
    std::printf("outer_plain %lx\n", (unsigned long)outer_plain);
    std::printf("private_names %lx\n", (unsigned long)private_names);
    std::printf("outer_cold %lx\n", (unsigned long)outer_cold);
    std::fflush(stdout);
    sink = outer_plain(sink) + private_names(sink) + outer_cold(sink);
    return std::getchar() == 'x';
}
