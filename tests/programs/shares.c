/* Sleeps for three tenths of its time, reads a slow pipe for three, and spins for four, in turns of 100 ms.
 * usage: shares SECONDS < go.  Another process writes the pipe.
 * Prints: the tid; wall time; how long it blocked in either call, until it was woken (what it then waits for a CPU, on a
 * busy machine, is not of the call); how long it spun; its CPU time. All of one thread, from its first line to its last. */
#include "truth.h"
#include <sys/wait.h>

enum { TENTH = 10000000 };

static int asks[2], answers[2];
static uint64_t slept, waited, spun;

static void slow_writer(void)
{
    uint64_t when;
    close(asks[1]);
    while (read(asks[0], &when, sizeof when) == sizeof when) {
        pause_until(when);
        when = now_ns();
        if (write(answers[1], &when, sizeof when) != sizeof when)
            break;
    }
    _exit(0);
}

NOT_INLINE static void sleep_for(uint64_t ns)
{
    pause_ns(ns);
    slept += ns;
}

NOT_INLINE static void read_for(uint64_t ns)
{
    uint64_t from = now_ns(), when = from + ns;
    if (write(asks[1], &when, sizeof when) != sizeof when || read(answers[0], &when, sizeof when) != sizeof when)
        exit(3);
    waited += when - from;
}

NOT_INLINE static void spin_for(uint64_t ns)
{
    uint64_t from = now_ns();
    while (now_ns() - from < ns)
        churn(from, 1000);
    spun += now_ns() - from;
}

static int turns;

static void *run(void *unused)
{
    uint64_t began = now_ns(), cpu = thread_cpu_ns();
    for (int i = 0; i < turns; i++) {
        sleep_for(3 * TENTH);
        read_for(3 * TENTH);
        spin_for(4 * TENTH);
    }
    uint64_t wall = now_ns() - began;
    printf("{\"tid\": %d, \"wall_ns\": %llu, \"sleep_ns\": %llu, \"read_ns\": %llu, \"spin_ns\": %llu, "
           "\"cpu_ns\": %llu}\n",
           own_tid(), (ull)wall, (ull)slept, (ull)waited, (ull)spun, (ull)(thread_cpu_ns() - cpu));
    return unused;
}

int main(int argc, char **argv)
{
    turns = (argc > 1 ? atof(argv[1]) : 1) * 10;
    if (pipe(asks) || pipe(answers))
        return 3;
    wait_for_go();
    pid_t child = fork();
    if (child == 0)
        slow_writer();
    pthread_t thread; /* not this one: it has already read, and waited for that */
    pthread_create(&thread, 0, run, 0);
    pthread_join(thread, 0);
    close(asks[1]);
    waitpid(child, 0, 0);
    return 0;
}
