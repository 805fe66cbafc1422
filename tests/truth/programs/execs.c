/* Executes itself in the middle of its life. usage: execs SECONDS [again] */
#include "known.h"
#include <stdio.h>
#include <unistd.h>

KNOWN static uint64_t before_leaf(uint64_t x) { return spin(x, 3000); }
KNOWN static uint64_t after_leaf(uint64_t x) { return spin(x, 4000); }
KNOWN static uint64_t before(uint64_t x) { return before_leaf(x) * 3; }
KNOWN static uint64_t after(uint64_t x) { return after_leaf(x) * 5; }

int main(int count, char **arguments)
{
    char half[32];
    begin(count, arguments);
    if (count > 2) {
        while (now() < ends)
            for (int i = 0; i < 20; i++)
                sink += after(sink);
        return 0;
    }
    ends = now() + atof(arguments[1]) / 2;
    while (now() < ends)
        for (int i = 0; i < 20; i++)
            sink += before(sink);
    snprintf(half, sizeof(half), "%f", atof(arguments[1]) / 2);
    execl(arguments[0], arguments[0], half, "again", (char *)0);
    return 1;
}
