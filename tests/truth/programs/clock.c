/* Most of its time in the vdso. */
#include "known.h"

KNOWN static void asking(void)
{
    struct timespec t;
    for (int i = 0; i < 1000; i++) {
        clock_gettime(CLOCK_MONOTONIC, &t);
        sink += t.tv_nsec;
    }
}

int main(int count, char **arguments)
{
    begin(count, arguments);
    while (now() < ends)
        asking();
    return 0;
}
