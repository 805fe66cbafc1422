/* Makes processes in known number. usage: spawns N < go, or: spawns thread < go
 *
 * N: N times vfork, the child becomes this program again and calls getppid ten times; N times clone, the child calls
 * getppid ten times; N times an execve of a file that is not there.
 * thread: a second thread becomes this program again (another tid enters the call than the one that returns from it),
 * while a third one blocks in read.
 * Prints: what was done. */
#include "truth.h"
#include <signal.h>
#include <sys/wait.h>

static int nobody[2];

static void ten_calls(void)
{
    for (int i = 0; i < 10; i++)
        syscall(SYS_getppid);
}

static void *becomes_another(void *program)
{
    char *arguments[] = {program, "again", 0};
    execv("/proc/self/exe", arguments);
    _exit(3);
}

static void *blocks(void *unused)
{
    char byte;
    return read(nobody[0], &byte, 1) < 0 ? unused : 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    if (!strcmp(argv[1], "leaf")) {
        ten_calls();
        _exit(0);
    }
    if (!strcmp(argv[1], "again")) {
        ten_calls();
        printf("{\"tid\": %d}\n", own_tid());
        return 0;
    }
    wait_for_go();
    if (!strcmp(argv[1], "thread")) {
        pthread_t thread;
        if (pipe(nobody))
            return 3;
        pthread_create(&thread, 0, blocks, 0);
        pause_ns(200000000);
        pthread_create(&thread, 0, becomes_another, argv[0]);
        pthread_join(thread, 0);
        return 3;
    }
    int n = atoi(argv[1]);
    char *leaf[] = {argv[0], "leaf", 0};
    for (int i = 0; i < n; i++) {
        pid_t child = vfork();
        if (child == 0) {
            execv("/proc/self/exe", leaf);
            _exit(3);
        }
        waitpid(child, 0, 0);
        child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            ten_calls();
            _exit(0);
        }
        waitpid(child, 0, 0);
        execv("/no/such/file", leaf);
    }
    printf("{\"vfork\": %d, \"clone\": %d, \"execve\": %d, \"enoent\": %d, \"getppid\": %d}\n", n, n, n, n, 20 * n);
    return 0;
}
