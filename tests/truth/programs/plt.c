/*
 * Calls through the procedure linkage table, bound lazily. With `again` they are bound anew every few calls, so that
 * samples fall on each instruction of an entry, and on the binding. Built with -no-pie, where a function's address
 * is its entry. Of ldiv, which takes long enough to be sampled: it divides; its entry does, because where it jumps to is
 * taken out of the caches now and then. usage: plt SECONDS [again]
 */
#include "known.h"
#include <string.h>

/* jmp *slot(%rip); push index; jmp first entry */
static void **slot_of(unsigned char *entry)
{
    int32_t distance;
    if (entry[0] != 0xff || entry[1] != 0x25)
        abort();
    memcpy(&distance, entry + 2, 4);
    return (void **)(entry + 6 + distance);
}

static ldiv_t (*entry_of_ldiv)(long, long);

/* Out of the caches, and not loaded ahead. */
#define FAR(place) __asm__ volatile("clflush %0; mfence" : "+m"(place)::"memory")

KNOWN static void bound(int calls, void **slot)
{
    for (int i = 0; i < calls; i++) {
        sink += ldiv(i, 7).quot;
        if (i % 64 == 0) { /* where an interrupt is taken in front of what waits, it finds the entry */
            FAR(*slot);
            sink += ldiv(i, 7).quot;
        } else if (i % 64 == 32) { /* where it is taken behind that, as by AMD's processors, it finds the entry, too */
            FAR(entry_of_ldiv);
            sink += entry_of_ldiv(i, 7).quot;
        }
    }
}

KNOWN static void binding(void **slot, unsigned char *entry)
{
    for (int i = 0; i < 20; i++) {
        *(void *volatile *)slot = entry + 6;
        sink += ldiv(i, 7).quot;
        sink += spin(sink, 20);
    }
}

int main(int count, char **arguments)
{
    unsigned char *volatile ldiv_entry = (unsigned char *)ldiv;
    begin(count, arguments);
    void **slot = slot_of(ldiv_entry);
    entry_of_ldiv = ldiv;
    while (now() < ends) {
        bound(count > 2 ? 300 : 3000, slot); /* next to the binding few: or its own samples would drown in those of the bound */
        if (count > 2)
            binding(slot, ldiv_entry);
    }
    return 0;
}
