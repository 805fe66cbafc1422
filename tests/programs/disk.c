/* Waits for the disk: page faults in a file that is not in memory, then reads of it. usage: disk FILE MEGABYTES < go
 * Prints: a line once the file is there; then major faults and reads, and how long each kind took together,
 * seen from outside. */
#include "truth.h"
#include <fcntl.h>
#include <sys/mman.h>

enum { STEP = 256 << 10 };

static uint64_t majors(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_majflt;
}

NOT_INLINE static uint64_t touch(const volatile char *at, size_t size)
{
    uint64_t from = now_ns();
    for (size_t i = 0; i < size; i += STEP)
        truth_sink += at[i];
    return now_ns() - from;
}

NOT_INLINE static uint64_t read_all(int file, size_t size)
{
    char piece[4096];
    uint64_t from = now_ns();
    for (size_t i = 0; i < size; i += STEP)
        if (pread(file, piece, sizeof piece, (off_t)i) < 0)
            perror("pread64");
    return now_ns() - from;
}

static void evict(int file)
{
    fsync(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM); /* nothing is read ahead */
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    size_t size = (size_t)atol(argv[2]) << 20;
    int file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *block = malloc(1 << 20);
    memset(block, 'x', 1 << 20);
    for (size_t i = 0; i < size; i += 1 << 20)
        if (write(file, block, 1 << 20) < 0)
            return 3;
    evict(file);
    printf("{\"ready\": 1}\n");
    fflush(stdout);
    wait_for_go();
    char *map = mmap(0, size, PROT_READ, MAP_SHARED, file, 0);
    madvise(map, size, MADV_RANDOM);
    uint64_t before = majors();
    uint64_t faulting = touch(map, size);
    uint64_t faults = majors() - before;
    munmap(map, size);
    evict(file);
    uint64_t reading = read_all(file, size);
    printf("{\"tid\": %d, \"faults\": %llu, \"fault_ns\": %llu, \"reads\": %llu, \"read_ns\": %llu}\n", own_tid(),
           (ull)faults, (ull)faulting, (ull)(size / STEP), (ull)reading);
    return 0;
}
