/* Threads that get into each other's way inside the kernel. usage: contended map|pipe|table SECONDS THREADS < go
 * map: address space (rwsem). pipe: large writes into one pipe (mutex). table: dup and close of one table (spinlock).
 * Prints: the wall time of all their calls together, which no wait within them can exceed. */
#include "truth.h"
#include <sys/mman.h>

enum { LARGE = 16 << 20, PIECE = 64 << 10 };

static volatile int over;
static int ends[2];
static char piece[PIECE];

NOT_INLINE static int one_map(int number)
{
    if (number % 2) {
        void *p = mmap(0, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        munmap(p, LARGE);
    } else {
        void *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(p, 4096, PROT_READ);
        munmap(p, 4096);
    }
    return 1;
}

NOT_INLINE static int one_write(int number)
{
    ssize_t n = number ? write(ends[1], piece, sizeof piece) : read(ends[0], piece, sizeof piece);
    return n > 0;
}

NOT_INLINE static int one_dup(int number)
{
    (void)number;
    return close(dup(0)) == 0;
}

static int (*one)(int);
static struct part {
    int number;
    uint64_t ns;
} parts[64];

static void *run(void *argument)
{
    struct part *own = argument;
    uint64_t from = now_ns();
    int drains = one == one_write && own->number == 0; /* to the end: else writers would block for ever */
    while (one(own->number) && (!over || drains))
        ;
    own->ns = now_ns() - from;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    int threads = atoi(argv[3]);
    if (threads < 2 || threads > 64 || pipe(ends))
        return 2;
    one = !strcmp(argv[1], "map") ? one_map : !strcmp(argv[1], "pipe") ? one_write : one_dup;
    wait_for_go();
    pthread_t thread[64];
    for (int i = 0; i < threads; i++) {
        parts[i].number = i;
        pthread_create(&thread[i], 0, run, &parts[i]);
    }
    pause_ns(atof(argv[2]) * 1e9);
    over = 1;
    for (int i = 1; i < threads; i++)
        pthread_join(thread[i], 0);
    close(ends[1]);
    pthread_join(thread[0], 0);
    uint64_t ns = 0;
    for (int i = 0; i < threads; i++)
        ns += parts[i].ns;
    printf("{\"ns\": %llu}\n", (ull)ns);
    return 0;
}
