/*
 * Calls a function of two instructions again and again: samples and signals fall on its first one, whose address less
 * one is of the function before it, which nobody calls. Built without padding between functions.
 */
#include "known.h"
#include <signal.h>
#include <sys/time.h>

KNOWN static void handling(void) { sink += spin(sink, 4000000); }

KNOWN static void on_tick(int number)
{
    handling();
    sink += number;
}

/* its frame is still there at its last byte */
KNOWN void never_called(uint64_t x)
{
    volatile uint64_t cells[16];
    cells[x & 15] = x;
    abort();
}

KNOWN static uint64_t tiny(uint64_t x) { return x + 1; }

KNOWN static void calling(void)
{
    uint64_t x = sink;
    for (int i = 0; i < 10000; i++)
        x = tiny(x);
    sink = x;
}

int main(int count, char **arguments)
{
    struct itimerval every = {{0, 10000}, {0, 10000}};
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    begin(count, arguments);
    sigaction(SIGPROF, &action, 0);
    setitimer(ITIMER_PROF, &every, 0);
    while (now() < ends)
        calling();
    return 0;
}
