// Functions whose frames differ: a chain, a variable-sized one, a realigned one, cleanups, an outlined cold part.
#include <alloca.h>
#include <stdexcept>
#include <string>
#include <vector>

#define NOINLINE __attribute__((noinline))

NOINLINE static long chained(long n, std::vector<std::string> &out) {
    if (n == 0) return (long)out.size();
    out.push_back(std::to_string(n));
    return chained(n - 1, out) * 3 + n;
}

NOINLINE static long variable(long n) {
    auto *buffer = static_cast<volatile char *>(alloca(n & 127));
    for (long i = 0; i < (n & 127); i++) buffer[i] = (char)i;
    return buffer[(n & 127) / 2];
}

NOINLINE static long realigned(long n, ...) {
    alignas(64) volatile long cells[32];
    auto *more = static_cast<volatile char *>(alloca(n & 63));
    for (int i = 0; i < 32; i++) cells[i] = n * i;
    more[n & 31] = 1;
    return cells[n & 31] + more[n & 31];
}

NOINLINE static long large(long n) {
    volatile char cells[100000];
    cells[n & 65535] = 1;
    return cells[n & 1023];
}

NOINLINE static long thrower(long n) {
    std::string kept = std::to_string(n);
    if (n % 7 == 0) throw std::runtime_error(kept);
    return (long)kept.size();
}

int main(int count, char **) {
    std::vector<std::string> out;
    long sum = 0;
    for (long i = 1; i < 100 * count; i++) {
        try {
            sum += chained(i & 7, out) + variable(i) + realigned(i) + large(i) + thrower(i);
        } catch (const std::exception &) {
            sum -= 1;
        }
    }
    return sum == 0;
}
