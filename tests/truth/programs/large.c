/* A frame of a megabyte. */
#include "known.h"

KNOWN static uint64_t under_large(uint64_t x) { return spin(x, 3000); }

KNOWN static uint64_t large(uint64_t x)
{
    volatile char cells[1 << 20];
    cells[x & 0xfffff] = 1;
    return under_large(x) + cells[x & 0xfffff];
}

int main(int count, char **arguments)
{
    begin(count, arguments);
    while (now() < ends)
        for (int i = 0; i < 20; i++)
            sink += large(sink);
    return 0;
}
