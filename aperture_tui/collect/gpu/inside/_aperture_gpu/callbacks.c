/*
 * The two callbacks that CUPTI calls while it holds a lock of its own. In Python they would wait for the interpreter
 * there, and a thread that has it and calls CUDA would wait for CUPTI: both for ever. These wait for nobody.
 *
 * Buffers come from a pool; a full one waits in a list until the agent's thread reads it, outside of every callback.
 * Built on the user's machine with any C compiler; no header of CUDA is needed.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int (*next_record)(uint8_t *data, size_t valid, void **record); /* cuptiActivityGetNextRecord; 0: there is one */

struct buffer {
    struct buffer *next;
    size_t valid;
};
#define DATA 64 /* behind the head: CUPTI wants 8, and a line of the cache is kinder */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* held for a few instructions, by whomever */
static struct buffer *spare, *full, **last_full = &full;
static size_t buffer_size, unmade;
static uint64_t refused;
static next_record next;

static uint8_t *data_of(struct buffer *b)
{
    return (uint8_t *)b + DATA;
}

/* Once. buffers: how many there may be; each is made when it is first needed. */
void aperture_open(next_record with, size_t size, size_t buffers)
{
    pthread_mutex_lock(&lock);
    next = with;
    if (!buffer_size) {
        buffer_size = size;
        unmade = buffers;
    }
    pthread_mutex_unlock(&lock);
}

void aperture_requested(uint8_t **data, size_t *size, size_t *records)
{
    struct buffer *b;
    void *made = 0;
    pthread_mutex_lock(&lock);
    b = spare;
    if (b)
        spare = b->next;
    else if (unmade && !posix_memalign(&made, DATA, DATA + buffer_size)) {
        unmade--;
        b = made;
    }
    if (!b)
        refused++; /* CUPTI drops records then */
    pthread_mutex_unlock(&lock);
    *data = b ? data_of(b) : 0;
    *size = b ? buffer_size : 0;
    *records = 0; /* as many as there is room for */
}

void aperture_completed(void *context, uint32_t stream, uint8_t *data, size_t size, size_t valid)
{
    (void)context, (void)stream, (void)size;
    if (!data)
        return;
    struct buffer *b = (struct buffer *)(data - DATA);
    pthread_mutex_lock(&lock);
    b->next = 0;
    b->valid = valid;
    *last_full = b;
    last_full = &b->next;
    pthread_mutex_unlock(&lock);
}

/* What is read is read in three calls, however many buffers it is in: after each the agent's thread has to wait for the
 * interpreter, which a program that launches all the time has. */

/* The kinds of the records in all full buffers: counts[kind] of those below `kinds`, counts[0] of all others.
 * -> how many buffers that are. */
size_t aperture_count(uint64_t *counts, uint32_t kinds)
{
    size_t n = 0;
    pthread_mutex_lock(&lock);
    struct buffer *b = full;
    for (struct buffer *each = full; each; each = each->next)
        n++;
    pthread_mutex_unlock(&lock);
    memset(counts, 0, kinds * sizeof(*counts));
    if (!next)
        return 0;
    for (size_t i = 0; i < n; i++, b = b->next) /* the link of the last one is changed meanwhile, and not followed */
        for (void *record = 0; b->valid && !next(data_of(b), b->valid, &record);) {
            uint32_t kind;
            memcpy(&kind, record, sizeof(kind));
            counts[kind < kinds ? kind : 0]++;
        }
    return n;
}

/* Copy the records of the oldest n buffers, in one pass: of those of a kind below `kinds` the first sizes[kind] bytes, one
 * behind the other, to to[kind], at most room[kind] of them; none where that is 0. */
void aperture_copy(size_t n, uint32_t kinds, const size_t *sizes, uint8_t *const *to, const uint64_t *room,
                   uint64_t *done)
{
    memset(done, 0, kinds * sizeof(*done));
    pthread_mutex_lock(&lock);
    struct buffer *b = full;
    pthread_mutex_unlock(&lock);
    for (; n && b; n--, b = n ? b->next : 0) {
        uint8_t *end = data_of(b) + buffer_size;
        for (void *record = 0; b->valid && !next(data_of(b), b->valid, &record);) {
            uint32_t kind;
            memcpy(&kind, record, sizeof(kind));
            if (kind >= kinds || done[kind] >= room[kind])
                continue;
            /* an older CUPTI's records may be shorter: what is behind the buffer is not read */
            size_t left = (size_t)(end - (uint8_t *)record), size = sizes[kind];
            memcpy(to[kind] + done[kind]++ * size, record, size < left ? size : left);
        }
    }
}

/* The oldest n buffers have been read. */
void aperture_done(size_t n)
{
    pthread_mutex_lock(&lock);
    for (struct buffer *b; n && (b = full); n--) {
        full = b->next;
        if (!full)
            last_full = &full;
        b->next = spare;
        spare = b;
    }
    pthread_mutex_unlock(&lock);
}

/* How often there was no buffer. */
uint64_t aperture_refused(void)
{
    pthread_mutex_lock(&lock);
    uint64_t n = refused;
    pthread_mutex_unlock(&lock);
    return n;
}
