/* Blocks in one call, told beforehand. usage: blocked pipe|socket|leave SECONDS < go
 *
 * pipe: a thread in read(2) of an empty pipe. socket: in recvfrom(2). Each ends after SECONDS, when the main thread
 * gives it something. leave: four threads in read(2) that nothing ever ends, but that the main thread leaves after
 * SECONDS by exit_group; of two more, one ends with its thread cancelled inside the call, at once.
 *
 * Prints a line at once: the tids that block, and since when (a moment before the call); and a line at the end. */
#include "truth.h"
#include <sys/socket.h>

static int ends[2], nobody[2];
static volatile int tid;
static volatile uint64_t began, took;

static void *in_read(void *argument)
{
    char byte;
    int from = *(int *)argument;
    tid = own_tid();
    began = now_ns();
    if (read(from, &byte, 1) < 0)
        perror("read");
    took = now_ns() - began;
    return 0;
}

static void *in_recvfrom(void *argument)
{
    char byte;
    tid = own_tid();
    began = now_ns();
    if (recvfrom(*(int *)argument, &byte, 1, 0, 0, 0) < 0)
        perror("recvfrom");
    took = now_ns() - began;
    return 0;
}

static void leave(double seconds)
{
    pthread_t thread;
    printf("{\"tids\": [");
    for (int i = 0; i < 5; i++) {
        tid = 0;
        pthread_create(&thread, 0, in_read, &nobody[0]);
        while (!tid)
            pause_ns(100000);
        if (i < 4)
            printf("%s%d", i ? ", " : "", tid);
    }
    printf("], \"began_ns\": %llu, \"cancelled\": %d}\n", (ull)began, tid);
    fflush(stdout);
    pause_ns(seconds * 5e8);
    pthread_cancel(thread);
    pause_ns(seconds * 5e8);
    syscall(SYS_exit_group, 0);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    double seconds = atof(argv[2]);
    int socket = !strcmp(argv[1], "socket");
    if (pipe(nobody) || (socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends)))
        return 3;
    wait_for_go();
    if (!strcmp(argv[1], "leave"))
        leave(seconds);
    pthread_t thread;
    pthread_create(&thread, 0, socket ? in_recvfrom : in_read, &ends[0]);
    while (!began)
        pause_ns(100000);
    printf("{\"tids\": [%d], \"began_ns\": %llu}\n", tid, (ull)began);
    fflush(stdout);
    pause_ns(seconds * 1e9);
    if (write(ends[1], "x", 1) != 1)
        return 3;
    pthread_join(thread, 0);
    printf("{\"took_ns\": %llu}\n", (ull)took);
    return 0;
}
