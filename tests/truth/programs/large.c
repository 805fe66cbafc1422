/* A frame of CELLS bytes, a power of two. */
#include "known.h"

KNOWN static uint64_t under_large(uint64_t x) { return spin(x, 3000); }

KNOWN static uint64_t large(uint64_t x)
{
    volatile char cells[CELLS];
    cells[x & (CELLS - 1)] = 1;
    return under_large(x) + cells[x & (CELLS - 1)];
}

int main(int count, char **arguments)
{
    begin(count, arguments);
    while (now() < ends)
        for (int i = 0; i < 20; i++)
            sink += large(sink);
    return 0;
}
