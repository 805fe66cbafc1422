/* Two threads give each other a byte, through two pipes, as fast as they can. usage: pingpong SECONDS CPU CPU < go
 * Prints: of each thread its tid, wall time, CPU time, how often it slept, and its context switches, from its first line
 * to its last. On one CPU the one that is woken may have the CPU at once, and answer before the other one sleeps. */
#include "truth.h"

static int to_pong[2], to_ping[2];
static uint64_t end;

struct part {
    int cpu, tid;
    uint64_t wall, used, sleeps, switches;
};

static void begin(struct part *own)
{
    struct rusage usage;
    pin(own->cpu);
    own->tid = own_tid();
    getrusage(RUSAGE_THREAD, &usage);
    own->sleeps = usage.ru_nvcsw;
    own->switches = usage.ru_nvcsw + usage.ru_nivcsw;
    own->wall = now_ns();
    own->used = thread_cpu_ns();
}

static void finish(struct part *own)
{
    struct rusage usage;
    own->wall = now_ns() - own->wall;
    own->used = thread_cpu_ns() - own->used;
    getrusage(RUSAGE_THREAD, &usage);
    own->sleeps = usage.ru_nvcsw - own->sleeps;
    own->switches = usage.ru_nvcsw + usage.ru_nivcsw - own->switches;
}

NOT_INLINE static int ping_turn(char byte)
{
    int result = write(to_pong[1], &byte, 1) == 1 && read(to_ping[0], &byte, 1) == 1;
    NOT_LAST();
    return result;
}

NOT_INLINE static int pong_turn(void)
{
    char byte;
    int result = read(to_pong[0], &byte, 1) == 1 && write(to_ping[1], &byte, 1) == 1;
    NOT_LAST();
    return result ? byte : 0;
}

static void *ping(void *argument)
{
    begin(argument);
    while (now_ns() < end)
        ping_turn('x');
    ping_turn(0);
    finish(argument);
    return 0;
}

static void *pong(void *argument)
{
    begin(argument);
    while (pong_turn())
        ;
    finish(argument);
    return 0;
}

static void tell(const char *name, const struct part *part)
{
    printf("\"%s\": {\"tid\": %d, \"wall_ns\": %llu, \"cpu_ns\": %llu, \"sleeps\": %llu, \"switches\": %llu}", name,
           part->tid, (ull)part->wall, (ull)part->used, (ull)part->sleeps, (ull)part->switches);
}

int main(int argc, char **argv)
{
    if (argc < 4 || pipe(to_pong) || pipe(to_ping))
        return 2;
    struct part first = {.cpu = atoi(argv[2])}, second = {.cpu = atoi(argv[3])};
    pthread_t thread[2];
    wait_for_go();
    end = now_ns() + atof(argv[1]) * 1e9;
    pthread_create(&thread[1], 0, pong, &second);
    pthread_create(&thread[0], 0, ping, &first);
    pthread_join(thread[0], 0);
    pthread_join(thread[1], 0);
    printf("{");
    tell("ping", &first);
    printf(", ");
    tell("pong", &second);
    printf("}\n");
    return 0;
}
