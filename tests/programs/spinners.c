/* Threads that want the CPU all the time. usage: spinners pinned|moving SECONDS THREADS [CPU] < go
 * pinned: all on one CPU. moving: each goes to the next CPU every 10 ms, and sleeps for 5 ms every fifth time.
 * Prints: of each thread its tid, its wall time and its CPU time, both from its first line to its last. */
#include "truth.h"

enum { MOST_THREADS = 16, STEP = 10000000 };

static int moving, cpu;
static double seconds;
static uint64_t end;

struct part {
    int number, tid;
    uint64_t wall, cpu;
};

NOT_INLINE static void spin_until(uint64_t until)
{
    while (now_ns() < until)
        churn(until, 1000);
}

static void *run(void *argument)
{
    struct part *own = argument;
    uint64_t began = now_ns(), at = began, used = thread_cpu_ns();
    int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    own->tid = own_tid();
    if (!moving)
        pin(cpu);
    for (int turn = 0; now_ns() < end; turn++) {
        at += STEP;
        if (moving)
            pin((own->number + turn) % cpus);
        if (moving && turn % 5 == 4)
            pause_ns(STEP / 2);
        spin_until(at < end ? at : end);
    }
    own->wall = now_ns() - began;
    own->cpu = thread_cpu_ns() - used;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    moving = !strcmp(argv[1], "moving");
    int threads = atoi(argv[3]);
    cpu = argc > 4 ? atoi(argv[4]) : 0;
    if (threads < 1 || threads > MOST_THREADS)
        return 2;
    wait_for_go();
    seconds = atof(argv[2]);
    end = now_ns() + seconds * 1e9;
    pthread_t thread[MOST_THREADS];
    struct part parts[MOST_THREADS] = {{0}};
    for (int i = 0; i < threads; i++) {
        parts[i].number = i;
        pthread_create(&thread[i], 0, run, &parts[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], 0);
    printf("{\"threads\": [");
    for (int i = 0; i < threads; i++)
        printf("%s{\"tid\": %d, \"wall_ns\": %llu, \"cpu_ns\": %llu}", i ? ", " : "", parts[i].tid, (ull)parts[i].wall,
               (ull)parts[i].cpu);
    printf("]}\n");
    return 0;
}
