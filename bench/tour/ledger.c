/* The shop's ledger: one lock, and under it a seal that takes so many rounds. The clerks wait for each other here. */
#include <pthread.h>
#include <stdint.h>

static pthread_mutex_t ledger_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t ledger;

/* splitmix64, as often as is said: https://prng.di.unimi.it/splitmix64.c */
__attribute__((noinline)) static uint64_t seal(uint64_t of, unsigned rounds)
{
    while (rounds--) {
        of += 0x9e3779b97f4a7c15;
        of = (of ^ (of >> 30)) * 0xbf58476d1ce4e5b9;
        of = (of ^ (of >> 27)) * 0x94d049bb133111eb;
        of ^= of >> 31;
    }
    return of;
}

__attribute__((noinline)) uint64_t book(uint64_t amount, unsigned rounds)
{
    pthread_mutex_lock(&ledger_lock);
    ledger = seal(ledger + amount, rounds);
    uint64_t now = ledger;
    pthread_mutex_unlock(&ledger_lock);
    return now;
}
