/* Calls getppid and a failing open, so many of each in each thread, and getppid in a child that it forks.
 * usage: calls GETPPIDS OPENS THREADS [IN_CHILD] < go
 * Prints: what it did itself; the child's pid, or 0. */
#include "truth.h"
#include <fcntl.h>
#include <sys/wait.h>

static long getppids, opens;

static void *work(void *argument)
{
    long *failed = argument;
    for (long i = 0; i < getppids; i++)
        syscall(SYS_getppid);
    for (long i = 0; i < opens; i++)
        if (syscall(SYS_open, "/no/such/file", O_RDONLY) < 0 && errno == ENOENT)
            ++*failed;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    getppids = atol(argv[1]);
    opens = atol(argv[2]);
    int threads = atoi(argv[3]);
    long in_child = argc > 4 ? atol(argv[4]) : 0;
    if (threads < 1 || threads > 64)
        return 2;
    wait_for_go();
    pid_t child = in_child ? fork() : 0;
    if (in_child && child == 0) {
        for (long i = 0; i < in_child; i++)
            syscall(SYS_getppid);
        _exit(0);
    }
    pthread_t thread[64];
    long failed[64] = {0}, enoent = 0;
    for (int i = 1; i < threads; i++)
        pthread_create(&thread[i], 0, work, &failed[i]);
    work(&failed[0]);
    for (int i = 1; i < threads; i++)
        pthread_join(thread[i], 0);
    for (int i = 0; i < threads; i++)
        enoent += failed[i];
    if (child)
        waitpid(child, 0, 0);
    printf("{\"getppid\": %ld, \"enoent\": %ld, \"child\": %d, \"in_child\": %ld}\n", getppids * threads, enoent,
           (int)child, in_child);
    return 0;
}
