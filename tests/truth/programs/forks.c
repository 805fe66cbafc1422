/* A parent and its child, in different functions of one image. */
#include "known.h"
#include <sys/wait.h>
#include <unistd.h>

KNOWN static uint64_t parent_leaf(uint64_t x) { return spin(x, 3000); }
KNOWN static uint64_t child_leaf(uint64_t x) { return spin(x, 4000); }
KNOWN static uint64_t parent_work(uint64_t x) { return parent_leaf(x) * 3; }
KNOWN static uint64_t child_work(uint64_t x) { return child_leaf(x) * 5; }

int main(int count, char **arguments)
{
    begin(count, arguments);
    int child = fork();
    while (now() < ends)
        for (int i = 0; i < 20; i++)
            sink += child ? parent_work(sink) : child_work(sink);
    if (child)
        wait(0);
    return 0;
}
