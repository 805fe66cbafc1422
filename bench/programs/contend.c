/* THREADS threads take one mutex in turn, for SECONDS, and hold it for about a microsecond: nearly every lock waits.
 * usage: contend THREADS SECONDS
 * Prints: times the mutex was taken. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t taken;
static double until;

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void *work(void *unused)
{
    for (int over = 0; !over;) {
        pthread_mutex_lock(&mutex);
        taken++;
        for (int i = 0; i < 20; i++)
            over = now() >= until;
        pthread_mutex_unlock(&mutex);
    }
    return unused;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int threads = atoi(argv[1]);
    pthread_t *running = calloc(threads, sizeof *running);
    until = now() + atof(argv[2]);
    for (int i = 0; i < threads; i++)
        pthread_create(&running[i], NULL, work, NULL);
    for (int i = 0; i < threads; i++)
        pthread_join(running[i], NULL);
    printf("%llu\n", (unsigned long long)taken);
    return 0;
}
