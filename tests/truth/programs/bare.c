/* Calls through assembler that nothing describes: bare_asm.s. */
#include "known.h"

extern uint64_t bare_leaf(uint64_t x);
extern uint64_t bare_caller(uint64_t x);

KNOWN uint64_t under_bare(uint64_t x) { return spin(x, 3000); }

KNOWN static uint64_t above_bare(uint64_t x)
{
    volatile uint64_t cells[8];
    cells[x & 7] = x;
    x = bare_caller(x);
    return x + bare_leaf(x) + cells[x & 7];
}

int main(int count, char **arguments)
{
    begin(count, arguments);
    while (now() < ends)
        for (int i = 0; i < 10; i++)
            sink += above_bare(sink);
    return 0;
}
