/* Two threads, each with its own functions, while the first one waits. */
#include "known.h"
#include <pthread.h>

KNOWN static uint64_t first_work(uint64_t x) { return spin(x, 3000); }
KNOWN static uint64_t second_work(uint64_t x) { return spin(x, 5000); }

KNOWN static void *first(void *unused)
{
    uint64_t x = 1;
    while (now() < ends)
        for (int i = 0; i < 20; i++)
            x += first_work(x);
    sink += x;
    return unused;
}

KNOWN static void *second(void *unused)
{
    uint64_t x = 2;
    while (now() < ends)
        for (int i = 0; i < 20; i++)
            x += second_work(x);
    sink += x;
    return unused;
}

int main(int count, char **arguments)
{
    pthread_t one, other;
    begin(count, arguments);
    pthread_create(&one, 0, first, 0);
    pthread_create(&other, 0, second, 0);
    pthread_join(one, 0);
    pthread_join(other, 0);
    return 0;
}
