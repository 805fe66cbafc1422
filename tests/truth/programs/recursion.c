/* 200 calls of one function, and work below the last. */
#include "known.h"

KNOWN static uint64_t bottom(uint64_t x) { return spin(x, 20000); }

KNOWN static uint64_t descend(int n, uint64_t x)
{
    if (n == 1)
        return bottom(x) + 1;
    x = descend(n - 1, x + n);
    __asm__ volatile("" : "+r"(x)); /* or the compiler makes a loop of it */
    return x * 3 + n;
}

int main(int count, char **arguments)
{
    begin(count, arguments);
    while (now() < ends)
        sink += descend(200, sink);
    return 0;
}
