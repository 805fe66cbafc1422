/* The C library calls back: qsort. */
#include "known.h"

#define N 2000

KNOWN static uint64_t weigh(uint64_t x) { return spin(x, 30); }

KNOWN static int compare(const void *a, const void *b)
{
    uint64_t x = weigh(*(const uint64_t *)a), y = weigh(*(const uint64_t *)b);
    return x < y ? -1 : x > y;
}

KNOWN static void sorted(uint64_t *numbers)
{
    qsort(numbers, N, sizeof(*numbers), compare);
    sink++;
}

int main(int count, char **arguments)
{
    static uint64_t numbers[N];
    begin(count, arguments);
    while (now() < ends) {
        for (int i = 0; i < N; i++)
            numbers[i] = spin(i + sink, 3);
        sorted(numbers);
    }
    return 0;
}
