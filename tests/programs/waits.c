/* One thread waits for another in one of many ways, ROUNDS times for HOLD_US. usage: waits HOW ROUNDS HOLD_US < go
 * Prints: the address and size of the lock, who waited and who held it, how often and how long the waiter waited (seen
 * from outside of the call), and how many waits ended as that way of waiting does not mean them to. */
#include "truth.h"
#include <linux/futex.h>
#include <semaphore.h>
#include <signal.h>

static pthread_mutex_t plain_lock = PTHREAD_MUTEX_INITIALIZER, pi_lock, robust_lock;
static pthread_cond_t work_ready = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t work_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t config_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t all_here;
static sem_t free_slots;
static uint32_t bare_word;
static pthread_t runner;
static pthread_mutex_t *heap_lock;

static uint64_t hold_ns;
static int rounds, has_work, holder_tid;
static volatile int ready, done, waiter_tid;
static uint64_t waited_ns;
static int odd;

static int nothing(void)
{
    return 0;
}

/* -- one function a way to wait: its name has to be in the stack */

#define WAITS(name, call)                  \
    NOT_INLINE static int name(void)       \
    {                                      \
        int result = (call);               \
        NOT_LAST();                        \
        return result;                     \
    }

#define MUTEX(name, lock)                              \
    WAITS(wait_for_##name, pthread_mutex_lock(lock))   \
    static int take_##name(void)                       \
    {                                                  \
        return pthread_mutex_lock(lock);               \
    }                                                  \
    static int leave_##name(void)                      \
    {                                                  \
        return pthread_mutex_unlock(lock);             \
    }

MUTEX(mutex, &plain_lock)
MUTEX(heap, heap_lock)
MUTEX(pi, &pi_lock)
MUTEX(robust, &robust_lock)

NOT_INLINE static int wait_for_condition(void)
{
    pthread_mutex_lock(&work_lock);
    while (!has_work)
        pthread_cond_wait(&work_ready, &work_lock);
    has_work = 0;
    return pthread_mutex_unlock(&work_lock);
}

static int give_work(void)
{
    pthread_mutex_lock(&work_lock);
    has_work = 1;
    pthread_mutex_unlock(&work_lock);
    return pthread_cond_signal(&work_ready); /* after the unlock: else the woken waits for the mutex as well */
}

WAITS(wait_for_semaphore, sem_wait(&free_slots))
static int post(void)
{
    return sem_post(&free_slots);
}

WAITS(wait_to_read, pthread_rwlock_rdlock(&config_lock))
WAITS(wait_to_write, pthread_rwlock_wrlock(&config_lock))
static int take_to_read(void)
{
    return pthread_rwlock_rdlock(&config_lock);
}
static int take_to_write(void)
{
    return pthread_rwlock_wrlock(&config_lock);
}
static int leave_config(void)
{
    return pthread_rwlock_unlock(&config_lock);
}

WAITS(wait_at_barrier, pthread_barrier_wait(&all_here) > 0)
static int arrive(void)
{
    pthread_barrier_wait(&all_here);
    return 0;
}

static void *rest(void *unused)
{
    pause_ns(hold_ns);
    return unused;
}
static int start_runner(void)
{
    return pthread_create(&runner, 0, rest, 0);
}
WAITS(wait_for_thread, pthread_join(runner, 0))

NOT_INLINE static int wait_in_vain(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = until.tv_nsec + hold_ns;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    return pthread_mutex_timedlock(&plain_lock, &until) != ETIMEDOUT;
}

/* -- without the C library */

static long wake(void)
{
    return syscall(SYS_futex, &bare_word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}
static int wake_bare(void)
{
    return wake() != 1;
}
WAITS(wait_bare, (int)syscall(SYS_futex, &bare_word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0))

enum { FUTEX_WAITV = 449, NEW_FUTEX_WAIT = 455, IS_U32 = 2, IS_PRIVATE = 128 };
struct waitv {
    uint64_t value, address;
    uint32_t flags, reserved;
};

NOT_INLINE static int wait_vector(void)
{
    struct waitv one = {0, (uintptr_t)&bare_word, IS_U32 | IS_PRIVATE, 0};
    int result = (int)syscall(FUTEX_WAITV, &one, 1, 0, 0, 0);
    if (result < 0 && errno == ENOSYS)
        exit(77);
    return result;
}

NOT_INLINE static int wait_new(void)
{
    int result = (int)syscall(NEW_FUTEX_WAIT, &bare_word, 0ul, 0xfffffffful, IS_U32 | IS_PRIVATE, 0, 0);
    if (result < 0 && errno == ENOSYS)
        exit(77);
    return result;
}

static void ignore(int unused)
{
    (void)unused;
}
static int interrupt(void)
{
    return (int)syscall(SYS_tgkill, getpid(), waiter_tid, SIGUSR1);
}
NOT_INLINE static int wait_disturbed(void)
{
    long result = syscall(SYS_futex, &bare_word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
    return !(result < 0 && errno == EINTR);
}

/* take: by the holder, before the waiter comes. release: by the holder, HOLD_US later. leave: by the waiter, after. */
static struct way {
    const char *name;
    int (*take)(void), (*release)(void), (*wait)(void), (*leave)(void);
    void *lock;
    size_t size;
} ways[] = {
    {"mutex", take_mutex, leave_mutex, wait_for_mutex, leave_mutex, &plain_lock, sizeof plain_lock},
    {"heap", take_heap, leave_heap, wait_for_heap, leave_heap, 0, sizeof plain_lock},
    {"pi", take_pi, leave_pi, wait_for_pi, leave_pi, &pi_lock, sizeof pi_lock},
    {"robust", take_robust, leave_robust, wait_for_robust, leave_robust, &robust_lock, sizeof robust_lock},
    {"timed", take_mutex, leave_mutex, wait_in_vain, nothing, &plain_lock, sizeof plain_lock},
    {"condition", nothing, give_work, wait_for_condition, nothing, &work_ready, sizeof work_ready},
    {"semaphore", nothing, post, wait_for_semaphore, nothing, &free_slots, sizeof free_slots},
    {"rwlock-read", take_to_write, leave_config, wait_to_read, leave_config, &config_lock, sizeof config_lock},
    {"rwlock-write", take_to_read, leave_config, wait_to_write, leave_config, &config_lock, sizeof config_lock},
    {"barrier", nothing, arrive, wait_at_barrier, nothing, &all_here, sizeof all_here},
    {"join", start_runner, nothing, wait_for_thread, nothing, 0, 4096}, /* glibc's struct pthread has 2.3 KB */
    {"futex", nothing, wake_bare, wait_bare, nothing, &bare_word, sizeof bare_word},
    {"futex_waitv", nothing, wake_bare, wait_vector, nothing, &bare_word, sizeof bare_word},
    {"futex_wait", nothing, wake_bare, wait_new, nothing, &bare_word, sizeof bare_word},
    {"interrupted", nothing, interrupt, wait_disturbed, nothing, &bare_word, sizeof bare_word},
};
static struct way *way;

static void *waiter(void *unused)
{
    waiter_tid = own_tid();
    for (int round = 1; round <= rounds; round++) {
        while (ready != round)
            pause_ns(20000);
        uint64_t from = now_ns();
        int result = way->wait();
        waited_ns += now_ns() - from;
        odd += result != 0;
        way->leave();
        done = round;
    }
    return unused;
}

NOT_INLINE static void hold_and_release(void)
{
    if (way->wait == wait_in_vain) {
        while (done != ready)
            pause_ns(100000);
        way->release();
        return;
    }
    pause_ns(hold_ns);
    odd += way->release() != 0;
}

static void prepare(void)
{
    pthread_mutexattr_t pi, robust;
    pthread_mutexattr_init(&pi);
    pthread_mutexattr_setprotocol(&pi, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&pi_lock, &pi);
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust_lock, &robust);
    pthread_barrier_init(&all_here, 0, 2);
    sem_init(&free_slots, 0, 0);
    heap_lock = malloc(sizeof *heap_lock);
    pthread_mutex_init(heap_lock, 0);
    struct sigaction action = {.sa_handler = ignore};
    sigaction(SIGUSR1, &action, 0);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
        if (!strcmp(argv[1], ways[i].name))
            way = &ways[i];
    if (!way)
        return 2;
    rounds = atoi(argv[2]);
    hold_ns = atoll(argv[3]) * 1000;
    prepare();
    no_slack();
    wait_for_go();
    holder_tid = own_tid();
    pthread_t thread;
    pthread_create(&thread, 0, waiter, 0);
    for (int round = 1; round <= rounds; round++) {
        odd += way->take() != 0;
        ready = round;
        hold_and_release();
        while (done != round)
            pause_ns(20000);
    }
    void *lock = way->take == take_heap ? heap_lock : way->take == start_runner ? (void *)runner : way->lock;
    printf("{\"address\": %llu, \"size\": %llu, \"waiter\": %d, \"holder\": %d, \"waits\": %d, \"ns\": %llu, "
           "\"odd\": %d}\n",
           (ull)(uintptr_t)lock, (ull)way->size, waiter_tid, holder_tid, rounds, (ull)waited_ns, odd);
    return 0;
}
