/* Functions that realign their stack: the caller is then found through a saved pointer, or an expression. */
#include "known.h"
#include <alloca.h>

KNOWN static uint64_t under_realigned(uint64_t x) { return spin(x, 3000); }

KNOWN static uint64_t realigned(uint64_t x)
{
    volatile _Alignas(64) uint64_t cells[32];
    cells[x & 31] = x;
    return under_realigned(x) + cells[x & 31];
}

/* a stack of unknown size, and arguments on the caller's: the frame needs a pointer to each */
KNOWN static uint64_t realigned_variable(uint64_t x, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    volatile _Alignas(64) uint64_t cells[32];
    volatile char *more = alloca((x & 127) + 16);
    more[x & 15] = f;
    cells[x & 31] = a + b + c + d + e + f;
    x = under_realigned(spin(x, 1000));
    return x + cells[x & 31] + more[x & 15] + f;
}

__attribute__((force_align_arg_pointer)) KNOWN static uint64_t realigned_on_entry(uint64_t x)
{
    volatile uint64_t cells[16];
    cells[x & 15] = x;
    x = realigned(spin(x, 1000));
    return x + realigned_variable(x, 1, 2, 3, 4, 5, 6) + cells[x & 15];
}

int main(int count, char **arguments)
{
    begin(count, arguments);
    while (now() < ends)
        for (int i = 0; i < 10; i++)
            sink += realigned_on_entry(sink);
    return 0;
}
