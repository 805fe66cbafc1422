/*
 * Loads a library long after its start; then, in its place, another one, whose functions have other frames at the
 * same addresses. Prints where each began. usage: late SECONDS
 */
#include "known.h"
#include <dlfcn.h>
#include <stdio.h>

typedef uint64_t function(uint64_t);

KNOWN static uint64_t alone(uint64_t x) { return spin(x, 3000); }

KNOWN static void work(function *f, double until)
{
    while (now() < until)
        for (int i = 0; i < 20; i++)
            sink += f(sink);
}

KNOWN static void work_in(const char *library, const char *name, double until)
{
    void *handle = dlopen(library, RTLD_NOW);
    function *f = handle ? (function *)dlsym(handle, name) : 0;
    if (!f)
        abort();
    printf("%p\n", (void *)f);
    work(f, until);
    dlclose(handle);
}

int main(int count, char **arguments)
{
    begin(count, arguments);
    double began = now(), left = ends - began;
    work(alone, began + 1.5);
    work_in("libearlier.so", "earlier", began + 1.5 + (left - 1.5) / 2);
    work_in("liblater.so", "later", ends);
    return 0;
}
