// Throws through ten frames, each with something to destroy, and catches.
#include "known.h"

struct Kept {
    uint64_t value;
    KNOWN ~Kept() { sink = sink + value; }
};

template <int n> KNOWN uint64_t level(uint64_t x)
{
    Kept kept{x};
    return level<n - 1>(x + n) * 3 + kept.value;
}

template <> KNOWN uint64_t level<0>(uint64_t x)
{
    x = spin(x, 3000);
    if (x != 1)
        throw x;
    return x;
}

KNOWN static void catching()
{
    try {
        sink = sink + level<10>(sink);
    } catch (uint64_t thrown) {
        sink = sink + thrown;
    }
}

int main(int count, char **arguments)
{
    begin(count, arguments);
    while (now() < ends)
        catching();
    return 0;
}
