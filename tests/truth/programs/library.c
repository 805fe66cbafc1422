/* A library with the functions ENTRY and LEAF, their frames larger by PAD words. */
#include "known.h"

KNOWN static uint64_t LEAF(uint64_t x)
{
    volatile uint64_t cells[PAD];
    cells[x % PAD] = x;
    x = spin(x, 3000);
    return x + cells[x % PAD];
}

KNOWN uint64_t ENTRY(uint64_t x)
{
    volatile uint64_t cells[2 * PAD];
    cells[x % PAD] = x;
    return LEAF(x) * 3 + cells[x % PAD];
}
