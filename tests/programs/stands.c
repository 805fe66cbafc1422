/* Blocks in one call for ever, deep in a known chain of calls. usage: stands HOW
 *
 * HOW: read, poll, futex, nanosleep; handler: in read(2) of a signal's handler; realigned: below a function that is found
 * by rbp, which one below it has saved; lost: below one that is found by rbp, which nobody has saved; again: in read(2)
 * by one way, and after each byte by another one of the same depth; scribbled: in read(2), while another thread writes
 * whatever it likes all over the stack. Prints an empty line before. */
#include "truth.h"
#include <alloca.h>
#include <poll.h>
#include <signal.h>

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static const char *how;
static volatile size_t bytes = 100;
static uint64_t *outermost;

static void wait_in_read(void)
{
    char byte;
    if (read(0, &byte, 1) < 0)
        perror("read");
}

NOT_INLINE static void by_one_way(void)
{
    wait_in_read();
    truth_sink = 1;
}

NOT_INLINE static void by_another_way(void)
{
    wait_in_read();
    truth_sink = 2;
}

static void on_signal(int number)
{
    by_one_way();
    truth_sink += number;
}

/* rbp is needed below this one for something else, and so it is saved */
NOT_INLINE static void saves_rbp(void)
{
    __asm__ volatile("" ::: "rbp", "rbx");
    by_one_way();
    __asm__ volatile("" ::: "rbp", "rbx");
}

NOT_INLINE static void realigned(int saved)
{
    volatile char *room = alloca(bytes);
    room[0] = 1;
    if (saved)
        saves_rbp();
    else
        by_one_way();
    truth_sink += room[0];
}

static void *scribble(void *innermost)
{
    uint64_t *word = innermost, x = 88172645463325252ull;
    for (long n = outermost - word;;)
        for (long i = 0; i < n; i++) {
            x = churn(x, 1);
            word[i] = x & 1 ? x : x & 2 ? word[(x >> 8) % n] : (uintptr_t)&word[(x >> 8) % n];
        }
    return 0;
}

NOT_INLINE static void block(void)
{
    struct pollfd input = {0, POLLIN, 0};
    pthread_t thread;
    if (!strcmp(how, "poll"))
        poll(&input, 1, -1);
    else if (!strcmp(how, "futex"))
        pthread_mutex_lock(&held);
    else if (!strcmp(how, "nanosleep"))
        pause_ns(3600000000000ull);
    else if (!strcmp(how, "handler"))
        raise(SIGUSR1);
    else if (!strcmp(how, "realigned") || !strcmp(how, "lost"))
        realigned(*how == 'r');
    else if (!strcmp(how, "again"))
        for (;;) {
            by_one_way();
            by_another_way();
        }
    else if (!strcmp(how, "scribbled")) {
        pthread_create(&thread, 0, scribble, &input);
        by_one_way();
    } else
        by_one_way();
    NOT_LAST();
}

NOT_INLINE static void inner(int depth)
{
    if (depth)
        inner(depth - 1);
    else
        block();
    NOT_LAST();
}

NOT_INLINE static void large(void)
{
    volatile char room[131072];
    room[0] = room[sizeof room - 1] = 1;
    inner(3);
    truth_sink += room[0];
}

NOT_INLINE static void outer(void)
{
    large();
    NOT_LAST();
}

int main(int argc, char **argv)
{
    uint64_t here = 3;
    outermost = &here;
    how = argv[argc - 1];
    signal(SIGUSR1, on_signal);
    pthread_mutex_lock(&held);
    puts("");
    fflush(stdout);
    outer();
    return (int)here;
}
