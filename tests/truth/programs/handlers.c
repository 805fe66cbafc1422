/* Works, and in a signal's handler works as well. usage: handlers SECONDS [elsewhere: on a stack of its own] */
#include "known.h"
#include <signal.h>
#include <string.h>
#include <sys/time.h>

KNOWN static void handling(void) { sink += spin(sink, 4000000); }

KNOWN static void on_tick(int number)
{
    handling();
    sink += number;
}

KNOWN static void plain(void) { sink += spin(sink, 3000); }

KNOWN static void working(void)
{
    plain();
    sink++;
}

int main(int count, char **arguments)
{
    struct itimerval every = {{0, 10000}, {0, 10000}};
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    static char stack[1 << 16];
    stack_t elsewhere = {.ss_sp = stack, .ss_size = sizeof(stack)};
    begin(count, arguments);
    if (count > 2 && !strcmp(arguments[2], "elsewhere")) {
        sigaltstack(&elsewhere, 0);
        action.sa_flags |= SA_ONSTACK;
    }
    sigaction(SIGPROF, &action, 0);
    setitimer(ITIMER_PROF, &every, 0);
    while (now() < ends)
        for (int i = 0; i < 10; i++)
            working();
    return 0;
}
