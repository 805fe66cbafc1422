/* Twenty functions deep, then leaves whose frames differ. usage: chain SECONDS [delete: its own file, at once] */
#include "known.h"
#include <alloca.h>
#include <string.h>
#include <unistd.h>

KNOWN static uint64_t leaf_registers(uint64_t x) { return spin(x, 3000); }

KNOWN static uint64_t leaf_array(uint64_t x)
{
    volatile uint64_t cells[64];
    for (int i = 0; i < 64; i++)
        cells[i] = x * i;
    for (int i = 0; i < 2000; i++)
        x += cells[(x + i) & 63];
    return x;
}

KNOWN static uint64_t leaf_variable(uint64_t x)
{
    volatile char *cells = alloca((x & 127) + 16);
    cells[x & 15] = 1;
    x = spin(x, 2000);
    return x + cells[x & 15];
}

KNOWN static uint64_t leaf_large(uint64_t x)
{
    volatile char cells[12000];
    for (int i = 0; i < 12000; i += 1000) /* perf copies no stack whose lowest page was never touched */
        cells[i] = 1;
    x = spin(x, 2500);
    return x + cells[x & 8191];
}

KNOWN static uint64_t f20(uint64_t x)
{
    x = leaf_registers(x);
    x += leaf_array(x);
    x += leaf_variable(x);
    x += leaf_large(x);
    return x + 1;
}

#define LINK(n, next)                                                                                                  \
    KNOWN static uint64_t f##n(uint64_t x)                                                                             \
    {                                                                                                                  \
        volatile uint64_t pad[n % 5 + 1];                                                                              \
        pad[0] = x;                                                                                                    \
        return f##next(x + pad[0]) * 3 + n;                                                                            \
    }
LINK(19, 20) LINK(18, 19) LINK(17, 18) LINK(16, 17) LINK(15, 16) LINK(14, 15) LINK(13, 14) LINK(12, 13) LINK(11, 12)
LINK(10, 11) LINK(9, 10) LINK(8, 9) LINK(7, 8) LINK(6, 7) LINK(5, 6) LINK(4, 5) LINK(3, 4) LINK(2, 3) LINK(1, 2)

int main(int count, char **arguments)
{
    begin(count, arguments);
    if (count > 2 && !strcmp(arguments[2], "delete") && unlink(arguments[0]))
        return 1;
    while (now() < ends)
        for (int i = 0; i < 10; i++)
            sink += f1(sink);
    return 0;
}
