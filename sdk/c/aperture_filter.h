/* Write a filter for Aperture in C: which events of a profiler are kept, dropped, sampled or tagged.
 *
 *     #include "aperture_filter.h"
 *
 *     static bool configure(ap_settings *settings) { ... return true; }
 *     static void on_batch(ap_batch *batch) {
 *         for (uint32_t i = 0; i < batch->n_events; i++)
 *             if (batch->events[i].duration_ns < 1000000)
 *                 ap_drop(batch, i);
 *     }
 *     AP_FILTER(configure, on_batch, "")
 *
 *     clang --target=wasm32 -std=c11 -Os -ffreestanding -nostdlib -Wl,--no-entry -o filter.wasm filter.c
 *
 * C11, little-endian, without a library: only the headers that a compiler brings itself. What the header of a batch
 * says is checked once, when the batch is opened; after that the accessors take any number, and give an empty row for
 * one that no row has. Compiled natively the same code is there for unit tests (tests/scene.h). */
#ifndef APERTURE_FILTER_H
#define APERTURE_FILTER_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AP_MAGIC 0x31425041u /* "APB1" */
#define AP_MAJOR 1
#define AP_MINOR 0

enum { AP_LOST_EVENTS = 1, AP_FIRST_BATCH = 2 }; /* flags of a header */
enum { AP_ERROR, AP_WARNING, AP_INFO, AP_DEBUG }; /* levels of the log */

/* What an event means. */
enum { AP_CPU = 1, AP_OFFCPU, AP_SYSCALL, AP_LOCK, AP_GPU_KERNEL, AP_GPU_COPY, AP_GPU_CALL };

/* What sort of code a frame is. */
enum {
    AP_FRAME_ROOT,
    AP_FRAME_PROCESS,
    AP_FRAME_KERNEL,
    AP_FRAME_NATIVE,
    AP_FRAME_JIT,
    AP_FRAME_PYTHON,
    AP_FRAME_RUNTIME,
    AP_FRAME_GPU,
    AP_FRAME_UNKNOWN,
    AP_FRAME_THREAD,
    AP_FRAME_LOCK,
    AP_FRAME_TAG
};

/* Whose part of a wait or a call an event tells: bits 12 and 13 of its flags. An event in flight goes on: its
 * duration is its age, and it is told again every second. */
#define AP_ROLE_SHIFT 12
#define AP_ROLE(event) ((event)->flags >> AP_ROLE_SHIFT & 3)
enum { AP_OWN, AP_IN_FLIGHT, AP_WAKER, AP_HOLDER };

/* ---- What lies in the arena. Offsets count from the header's first byte; strings are numbers of rows. */

typedef struct {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t header_size, event_size;
    uint32_t n_events, events;
    uint32_t verdicts, tags; /* a u32 for each event */
    uint32_t generation;     /* when it changes, all tables begin anew */
    uint32_t flags;
    uint64_t now_ns;   /* Unix: when the batch was drained */
    uint64_t sequence; /* the batch's number, of this instance */
    uint64_t unused;
    uint32_t n_strings, strings;
    uint32_t n_frames, frames;
    uint32_t n_stacks, stacks;
    uint32_t n_processes, processes;
    uint32_t redacted; /* a byte for each frame */
    uint32_t rest[7];
} ap_header;

typedef struct {
    uint64_t time_ns;     /* Unix; of an aggregate: the end of its interval */
    uint64_t duration_ns; /* the sum over weight; of a CPU sample: the sampling period */
    uint64_t maximum_ns;  /* the longest of them */
    uint64_t value;       /* a lock's address, bytes of a copy */
    uint32_t pid, tid;
    uint32_t process; /* row; 0 is unknown */
    uint32_t thread;  /* string: the thread's name */
    uint32_t name;    /* string: system call, kind of lock, GPU kernel, direction of a copy */
    uint32_t stack;   /* node; 0 is no stack */
    uint32_t weight;  /* how many this stands for */
    uint32_t aux;     /* error number; of a GPU its device << 24 | its stream */
    uint16_t kind, flags;
    uint16_t cpu;  /* CPU; of a GPU which call it comes from */
    uint16_t tags; /* those that filters before this one gave it */
} ap_event;

typedef struct {
    uint32_t offset, length;
} ap_slice;

typedef struct {
    uint32_t function, module, file; /* strings */
    uint32_t line;                   /* 0 is unknown */
    uint32_t kind;
} ap_frame;

/* A node of the trie of stacks: its own, innermost frame on top of the stack `parent`, whose number is smaller. */
typedef struct {
    uint32_t parent, frame;
} ap_node;

typedef struct {
    uint64_t start_ns; /* Unix */
    uint32_t pid;
    uint32_t name, cgroup, container; /* strings */
} ap_process;

_Static_assert(sizeof(ap_header) == 128 && offsetof(ap_header, now_ns) == 40, "header");
_Static_assert(offsetof(ap_header, n_strings) == 64 && offsetof(ap_header, redacted) == 96, "header");
_Static_assert(sizeof(ap_event) == 72 && offsetof(ap_event, pid) == 32 && offsetof(ap_event, tags) == 70, "event");
_Static_assert(sizeof(ap_slice) == 8 && sizeof(ap_node) == 8, "slice, node");
_Static_assert(sizeof(ap_frame) == 20 && offsetof(ap_frame, kind) == 16, "frame");
_Static_assert(sizeof(ap_process) == 24 && offsetof(ap_process, container) == 20, "process");

/* ---- Memory: given out, and never taken back. */

#define AP_ALIGNMENT 64
#define AP_REGIONS 8

static struct {
    uintptr_t top, limit;                         /* the next free byte; one past the last that is ours */
    uintptr_t start[AP_REGIONS], size[AP_REGIONS]; /* what the host was given */
    uint32_t n_regions;
} ap_heap;

#ifdef __wasm__
extern unsigned char __heap_base;

/* More memory from the engine. What another added to it in between is not ours. */
static inline bool ap_grow(uintptr_t bytes) {
    uintptr_t pages = bytes / 65536 + 1;
    uintptr_t old = __builtin_wasm_memory_grow(0, pages);
    if (old == (uintptr_t)-1)
        return false;
    if (old * 65536 != ap_heap.limit)
        ap_heap.top = old * 65536;
    ap_heap.limit = (old + pages) * 65536;
    return true;
}

static inline void ap_first_memory(void) {
    ap_heap.top = (uintptr_t)&__heap_base;
    ap_heap.limit = __builtin_wasm_memory_size(0) * 65536;
}
#else
#ifndef AP_NATIVE_BYTES
#define AP_NATIVE_BYTES (16u << 20)
#endif
static alignas(AP_ALIGNMENT) unsigned char ap_native_memory[AP_NATIVE_BYTES];

static inline bool ap_grow(uintptr_t bytes) {
    (void)bytes;
    return false;
}

static inline void ap_first_memory(void) {
    ap_heap.top = (uintptr_t)ap_native_memory;
    ap_heap.limit = ap_heap.top + sizeof ap_native_memory;
}
#endif

/* `size` zeroed bytes that stay, 64-byte aligned; NULL if there is no memory left. */
static inline void *ap_zeroed(size_t size) {
    if (!ap_heap.limit)
        ap_first_memory();
    for (int again = 0; again < 2; again++) {
        uintptr_t start = (ap_heap.top + AP_ALIGNMENT - 1) & ~(uintptr_t)(AP_ALIGNMENT - 1);
        if (start <= ap_heap.limit && size <= ap_heap.limit - start) {
            ap_heap.top = start + size;
            return (void *)start;
        }
        if (size > UINT32_MAX - 2 * 65536 || !ap_grow(size + AP_ALIGNMENT))
            return NULL;
    }
    return NULL;
}

static inline uintptr_t ap_region_for_host(size_t size) {
    if (ap_heap.n_regions == AP_REGIONS)
        return 0;
    uintptr_t start = (uintptr_t)ap_zeroed(size);
    if (start) {
        ap_heap.start[ap_heap.n_regions] = start;
        ap_heap.size[ap_heap.n_regions++] = size;
    }
    return start;
}

/* How many bytes of a region of the host's lie at an address and behind it; 0 outside all of them. */
static inline uintptr_t ap_region_at(uintptr_t address) {
    for (uint32_t i = 0; i < ap_heap.n_regions; i++)
        if (address >= ap_heap.start[i] && address - ap_heap.start[i] < ap_heap.size[i])
            return ap_heap.size[i] - (address - ap_heap.start[i]);
    return 0;
}

/* A growing array of bytes, for what a filter remembers by the number of a row. */
typedef struct {
    uint8_t *bytes;
    uint32_t length, capacity;
} ap_table;

/* Lengthen it; the new bytes are 0. False, and no change: there is no memory. */
static inline bool ap_lengthen(ap_table *table, uint32_t length) {
    if (length > table->capacity) {
        uint32_t capacity = length > UINT32_MAX / 2 ? length : 2 * length;
        uint8_t *bytes = ap_zeroed(capacity);
        if (!bytes)
            return false;
        for (uint32_t i = 0; i < table->length; i++)
            bytes[i] = table->bytes[i];
        table->bytes = bytes;
        table->capacity = capacity;
    }
    for (; table->length < length; table->length++)
        table->bytes[table->length] = 0;
    return true;
}

/* ---- Texts: UTF-8, with their length and without a NUL. */

typedef struct {
    const char *bytes;
    uint32_t length;
} ap_text;

static inline ap_text ap_literal(const char *text) {
    ap_text out = {text, 0};
    while (text[out.length])
        out.length++;
    return out;
}

static inline bool ap_starts_with(ap_text text, ap_text with) {
    if (with.length > text.length)
        return false;
    for (uint32_t i = 0; i < with.length; i++)
        if (text.bytes[i] != with.bytes[i])
            return false;
    return true;
}

static inline bool ap_equal(ap_text one, ap_text other) {
    return one.length == other.length && ap_starts_with(one, other);
}

/* Whether `needle` occurs in `text`. The empty one occurs in every text. */
static inline bool ap_contains(ap_text text, ap_text needle) {
    for (; text.length >= needle.length; text.bytes++, text.length--) {
        if (ap_starts_with(text, needle))
            return true;
        if (!text.length)
            break;
    }
    return false;
}

/* ---- The log: lines of at most 1 KiB, of which the host shows 20 a second. */

#ifdef __wasm__
__attribute__((import_module("aperture"), import_name("log"))) void ap_host_log(int level, const char *text,
                                                                                 uint32_t length);
#else
void ap_host_log(int level, const char *text, uint32_t length); /* the test has it */
#endif

static inline void ap_log_text(int level, ap_text text) {
    ap_host_log(level, text.bytes, text.length < 1024 ? text.length : 1024);
}

static inline void ap_log(int level, const char *text) {
    ap_log_text(level, ap_literal(text));
}

/* ---- A batch. */

typedef struct {
    const ap_header *header;
    const ap_event *events;
    const ap_frame *frames;
    const ap_node *stacks;
    const ap_process *processes;
    uint32_t n_events, n_strings, n_frames, n_stacks, n_processes;
    uint32_t *verdicts; /* n_events */
    uint32_t *tags;     /* n_events */
    uint8_t *redacted;  /* n_frames */
    const ap_slice *strings;
    uint32_t bytes; /* of the arena, from the header on */
} ap_batch;

typedef struct {
    uint64_t from, bytes;
} ap_extent;

static inline bool ap_overlap(ap_extent one, ap_extent other) {
    return one.bytes && other.bytes && one.from < other.from + other.bytes && other.from < one.from + one.bytes;
}

static inline ap_extent ap_extent_of(uint32_t offset, uint32_t n, uint32_t size) {
    ap_extent out = {offset, (uint64_t)n * size};
    return out;
}

/* Opens the arena of so many bytes. NULL, or what is wrong with its header. */
static inline const char *ap_open(ap_batch *batch, const ap_header *header, uintptr_t bytes) {
    if (bytes < sizeof *header || (uintptr_t)header % alignof(ap_header))
        return "the header is not in the arena";
    if (header->magic != AP_MAGIC || header->major != AP_MAJOR)
        return "the header is not one of this version";
    if (header->header_size != sizeof *header || header->event_size != sizeof(ap_event))
        return "the header's sizes are not those of this version";

    const ap_header *h = header;
    const ap_extent extents[] = {
        ap_extent_of(h->verdicts, h->n_events, 4), /* the first three are written */
        ap_extent_of(h->tags, h->n_events, 4),
        ap_extent_of(h->redacted, h->n_frames, 1),
        ap_extent_of(h->events, h->n_events, sizeof(ap_event)),
        ap_extent_of(h->strings, h->n_strings, sizeof(ap_slice)),
        ap_extent_of(h->frames, h->n_frames, sizeof(ap_frame)),
        ap_extent_of(h->stacks, h->n_stacks, sizeof(ap_node)),
        ap_extent_of(h->processes, h->n_processes, sizeof(ap_process)),
        {0, sizeof *header},
    };
    const uint8_t boundaries[] = {4, 4, 1, 8, 4, 4, 4, 8, 1};
    const uint32_t n = sizeof extents / sizeof *extents;
    for (uint32_t i = 0; i < n; i++) {
        if (extents[i].from + extents[i].bytes > bytes)
            return "a table is not in the arena";
        if (extents[i].bytes && ((uintptr_t)header + extents[i].from) % boundaries[i])
            return "a table is not at its natural boundary";
        for (uint32_t written = 0; written < 3 && written < i; written++)
            if (ap_overlap(extents[i], extents[written]))
                return "what the filter writes overlaps what it reads";
    }

    char *start = (char *)(uintptr_t)header;
    batch->header = header;
    batch->bytes = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
    batch->n_events = h->n_events;
    batch->n_strings = h->n_strings;
    batch->n_frames = h->n_frames;
    batch->n_stacks = h->n_stacks;
    batch->n_processes = h->n_processes;
    batch->events = (const ap_event *)(start + h->events);
    batch->strings = (const ap_slice *)(start + h->strings);
    batch->frames = (const ap_frame *)(start + h->frames);
    batch->stacks = (const ap_node *)(start + h->stacks);
    batch->processes = (const ap_process *)(start + h->processes);
    batch->verdicts = (uint32_t *)(start + h->verdicts);
    batch->tags = (uint32_t *)(start + h->tags);
    batch->redacted = (uint8_t *)(start + h->redacted);
    return NULL;
}

/* A string; empty if there is none of that number. */
static inline ap_text ap_string(const ap_batch *batch, uint32_t id) {
    ap_text out = {"", 0};
    if (id >= batch->n_strings)
        return out;
    ap_slice slice = batch->strings[id];
    if (slice.offset > batch->bytes || slice.length > batch->bytes - slice.offset)
        return out;
    out.bytes = (const char *)batch->header + slice.offset;
    out.length = slice.length;
    return out;
}

static const ap_process ap_no_process;
static const ap_frame ap_no_frame;

/* A process; all zeros if there is none of that number. */
static inline const ap_process *ap_process_at(const ap_batch *batch, uint32_t row) {
    return row < batch->n_processes ? &batch->processes[row] : &ap_no_process;
}

/* From the innermost frame outwards: `for (n = event->stack; n; n = ap_parent(batch, n)) ap_frame_of(batch, n)`. */
static inline uint32_t ap_parent(const ap_batch *batch, uint32_t node) {
    uint32_t parent = node < batch->n_stacks ? batch->stacks[node].parent : 0;
    return parent < node ? parent : 0; /* a trie that says otherwise would go round for ever */
}

/* The frame of a node; all zeros if there is none of that number. */
static inline const ap_frame *ap_frame_of(const ap_batch *batch, uint32_t node) {
    uint32_t frame = node < batch->n_stacks ? batch->stacks[node].frame : UINT32_MAX;
    return frame < batch->n_frames ? &batch->frames[frame] : &ap_no_frame;
}

/* ---- Verdicts. Every event is kept unless something else is said. A number that no event has does nothing. */

static inline void ap_keep(ap_batch *batch, uint32_t event) {
    if (event < batch->n_events)
        batch->verdicts[event] = 1;
}

static inline void ap_drop(ap_batch *batch, uint32_t event) {
    if (event < batch->n_events)
        batch->verdicts[event] = 0;
}

/* Keep it, and let it stand for `n` like it: its weight and its duration are multiplied. */
static inline void ap_sample(ap_batch *batch, uint32_t event, uint16_t n) {
    if (event < batch->n_events)
        batch->verdicts[event] = n;
}

/* Give it the tag of this position among the names of AP_FILTER, 0 to 15. */
static inline void ap_tag(ap_batch *batch, uint32_t event, uint32_t position) {
    if (event < batch->n_events && position < 16)
        batch->tags[event] |= 1u << position;
}

/* Hide the names of a frame, for good: it is read for frames that are new in this batch alone. */
static inline void ap_hide(ap_batch *batch, uint32_t frame) {
    if (frame < batch->n_frames)
        batch->redacted[frame] = 1;
}

/* ---- What was answered already. */

/* How far a table has been read. The rows that are new are those from the returned one up to `rows`: all of a new
 * generation, which is when it is 0. */
typedef struct {
    uint32_t generation, seen;
    bool started;
} ap_watermark;

static inline uint32_t ap_advance(ap_watermark *mark, const ap_batch *batch, uint32_t rows) {
    if (!mark->started || mark->generation != batch->header->generation || rows < mark->seen) {
        mark->started = true;
        mark->generation = batch->header->generation;
        mark->seen = 0;
    }
    uint32_t first = mark->seen;
    mark->seen = rows;
    return first;
}

/* Answers by number of a row, of one generation. */
typedef struct {
    ap_watermark mark;
    ap_table answers;
} ap_memo;

enum { AP_UNKNOWN, AP_NO, AP_YES };

/* What was answered of a row of a table of `rows` rows, or AP_UNKNOWN: then ask, and say it with ap_answer. */
static inline uint8_t ap_answered(ap_memo *memo, const ap_batch *batch, uint32_t rows, uint32_t row) {
    if (!memo->mark.started || memo->mark.generation != batch->header->generation) {
        ap_advance(&memo->mark, batch, rows);
        memo->answers.length = 0;
    }
    return row < memo->answers.length ? memo->answers.bytes[row] : (uint8_t)AP_UNKNOWN;
}

static inline bool ap_answer(ap_memo *memo, uint32_t rows, uint32_t row, bool answer) {
    if (row < rows && ap_lengthen(&memo->answers, rows))
        memo->answers.bytes[row] = answer ? AP_YES : AP_NO;
    return answer;
}

/* ---- Settings: one flat JSON object of texts, whole numbers and booleans. */

#define AP_SETTINGS 32

typedef struct {
    ap_text key;
    enum { AP_IS_TEXT, AP_IS_INTEGER, AP_IS_BOOLEAN } type;
    ap_text text;
    int64_t integer; /* or the boolean */
    bool asked;
} ap_setting;

typedef struct {
    ap_setting settings[AP_SETTINGS];
    uint32_t n;
    const char *problem; /* NULL as long as all is well */
    ap_text key;         /* what it is about */
} ap_settings;

typedef struct {
    char *at, *end;
    char *kept; /* texts are written over what was read: they are never longer than they were */
} ap_json;

static inline char ap_peek(ap_json *json) {
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
        json->at++;
    return json->at < json->end ? *json->at : '\0';
}

static inline bool ap_accept(ap_json *json, char what) {
    bool there = ap_peek(json) == what;
    json->at += there;
    return there;
}

static inline bool ap_read_hex(ap_json *json, uint32_t *out) {
    if (json->end - json->at < 4)
        return false;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = *json->at++, lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *out = *out << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    return true;
}

static inline bool ap_read_unicode(ap_json *json) {
    uint32_t code, low;
    if (!ap_read_hex(json, &code) || code == 0 || (code >= 0xDC00 && code < 0xE000))
        return false;
    if (code >= 0xD800 && code < 0xDC00) {
        if (json->end - json->at < 6 || json->at[0] != '\\' || json->at[1] != 'u')
            return false;
        json->at += 2;
        if (!ap_read_hex(json, &low) || low < 0xDC00 || low >= 0xE000)
            return false;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t leads[] = {0, 0xC0, 0xE0, 0xF0};
    *json->kept++ = (char)(leads[more] | code >> (6 * more));
    while (more--)
        *json->kept++ = (char)(0x80 | (code >> (6 * more) & 0x3F));
    return true;
}

static inline bool ap_read_text(ap_json *json, ap_text *out) {
    if (!ap_accept(json, '"'))
        return false;
    out->bytes = json->kept;
    while (json->at < json->end) {
        char c = *json->at++;
        if (c == '"') {
            out->length = (uint32_t)(json->kept - out->bytes);
            return true;
        }
        if ((unsigned char)c < 0x20)
            return false;
        if (c != '\\') {
            *json->kept++ = c;
            continue;
        }
        if (json->at == json->end)
            return false;
        static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
        char escape = *json->at++;
        if (escape == 'u') {
            if (!ap_read_unicode(json))
                return false;
            continue;
        }
        uint32_t i = 0;
        while (escapes[i] && escapes[i] != escape)
            i += 2;
        if (!escapes[i])
            return false;
        *json->kept++ = escapes[i + 1];
    }
    return false;
}

static inline bool ap_read_word(ap_json *json, const char *word) {
    ap_text rest = {json->at, (uint32_t)(json->end - json->at)}, wanted = ap_literal(word);
    if (!ap_starts_with(rest, wanted))
        return false;
    json->at += wanted.length;
    return true;
}

static inline bool ap_read_integer(ap_json *json, int64_t *out) {
    bool negative = ap_accept(json, '-');
    char *first = json->at;
    for (*out = 0; json->at < json->end && *json->at >= '0' && *json->at <= '9'; json->at++) {
        int digit = *json->at - '0';
        if (negative ? *out < (INT64_MIN + digit) / 10 : *out > (INT64_MAX - digit) / 10)
            return false;
        *out = *out * 10 + (negative ? -digit : digit);
    }
    char next = json->at < json->end ? *json->at : '\0';
    return json->at > first && (json->at - first == 1 || *first != '0') && next != '.' && next != 'e' && next != 'E';
}

static inline bool ap_read_value(ap_json *json, ap_setting *out) {
    switch (ap_peek(json)) {
    case '"':
        out->type = AP_IS_TEXT;
        return ap_read_text(json, &out->text);
    case 't':
    case 'f':
        out->type = AP_IS_BOOLEAN;
        out->integer = *json->at == 't';
        return ap_read_word(json, out->integer ? "true" : "false");
    default:
        out->type = AP_IS_INTEGER;
        return ap_read_integer(json, &out->integer);
    }
}

/* Reads the settings, and overwrites the text they came in. False: it is no such JSON. */
static inline bool ap_read_settings(ap_settings *settings, char *json, uint32_t length) {
    ap_json at = {json, json + length, json};
    settings->n = 0;
    settings->problem = "is no flat JSON object of texts, whole numbers and booleans";
    settings->key.length = 0;
    if (!ap_accept(&at, '{'))
        return false;
    while (!ap_accept(&at, '}')) {
        if (settings->n == AP_SETTINGS || (settings->n && !ap_accept(&at, ',')))
            return false;
        ap_setting *setting = &settings->settings[settings->n];
        setting->asked = false;
        if (!ap_read_text(&at, &setting->key) || !ap_accept(&at, ':') || !ap_read_value(&at, setting))
            return false;
        for (uint32_t i = 0; i < settings->n; i++)
            if (ap_equal(settings->settings[i].key, setting->key))
                return false;
        settings->n++;
    }
    ap_peek(&at);
    if (at.at != at.end)
        return false;
    settings->problem = NULL;
    return true;
}

/* Refuse the settings: what is wrong with one of them. Returns false. */
static inline bool ap_refuse(ap_settings *settings, const char *key, const char *problem) {
    if (!settings->problem) {
        settings->key = ap_literal(key);
        settings->problem = problem;
    }
    return false;
}

static inline ap_setting *ap_setting_of(ap_settings *settings, const char *key, int type, const char *otherwise) {
    for (uint32_t i = 0; i < settings->n; i++) {
        ap_setting *setting = &settings->settings[i];
        if (!ap_equal(setting->key, ap_literal(key)))
            continue;
        setting->asked = true;
        if ((int)setting->type == type)
            return setting;
        ap_refuse(settings, key, otherwise);
    }
    return NULL;
}

/* A text, which stays; empty if it was not given. */
static inline ap_text ap_text_of(ap_settings *settings, const char *key) {
    ap_setting *setting = ap_setting_of(settings, key, AP_IS_TEXT, "must be a text");
    return setting ? setting->text : ap_literal("");
}

/* A whole number from `least` to `most`. */
static inline int64_t ap_integer_of(ap_settings *settings, const char *key, int64_t otherwise, int64_t least,
                                    int64_t most) {
    ap_setting *setting = ap_setting_of(settings, key, AP_IS_INTEGER, "must be a whole number");
    if (!setting)
        return otherwise;
    if (setting->integer < least || setting->integer > most)
        ap_refuse(settings, key, "is out of its range");
    return setting->integer;
}

static inline bool ap_boolean_of(ap_settings *settings, const char *key, bool otherwise) {
    ap_setting *setting = ap_setting_of(settings, key, AP_IS_BOOLEAN, "must be true or false");
    return setting ? setting->integer != 0 : otherwise;
}

/* ---- What the host calls. */

typedef bool (*ap_configure_function)(ap_settings *settings);
typedef void (*ap_batch_function)(ap_batch *batch);

/* Reads the settings into the filter; a setting that it never asked for is refused. */
static inline bool ap_configure_with(ap_configure_function configure, char *json, uint32_t length) {
    static ap_settings settings;
    if (ap_read_settings(&settings, json, length) && !configure(&settings))
        ap_refuse(&settings, "", "was refused");
    for (uint32_t i = 0; i < settings.n && !settings.problem; i++)
        if (!settings.settings[i].asked) {
            settings.key = settings.settings[i].key;
            settings.problem = "is no setting of this filter";
        }
    if (settings.problem) {
        if (settings.key.length)
            ap_log_text(AP_ERROR, settings.key);
        ap_log(AP_ERROR, settings.problem);
    }
    return !settings.problem;
}

static inline int32_t ap_run(ap_batch_function on_batch, uintptr_t header) {
    ap_batch batch;
    const char *problem = ap_open(&batch, (const ap_header *)header, ap_region_at(header));
    if (problem) {
        ap_log(AP_ERROR, problem);
        return 2;
    }
    on_batch(&batch);
    return 0;
}

#ifdef __wasm__
#define AP_EXPORT(name) __attribute__((export_name(name)))

/* Makes these two functions a filter. `tag_names`: comma-separated, at most 16; "" for none. */
#define AP_FILTER(configure, on_batch, tag_names)                                                                      \
    AP_EXPORT("ap_abi_version") int32_t ap_abi_version(void) { return AP_MAJOR << 16 | AP_MINOR; }                      \
    AP_EXPORT("ap_alloc") uintptr_t ap_alloc(uint32_t size) { return ap_region_for_host(size); }                        \
    AP_EXPORT("ap_configure") int32_t ap_configure(uintptr_t json, uint32_t length) {                                   \
        return length > ap_region_at(json) || !ap_configure_with(configure, (char *)json, length);                      \
    }                                                                                                                  \
    AP_EXPORT("ap_tags") const char *ap_tags(void) { return tag_names; }                                                \
    AP_EXPORT("ap_on_batch") int32_t ap_on_batch(uintptr_t header) { return ap_run(on_batch, header); }
#else
#define AP_FILTER(configure, on_batch, tag_names)
#endif

#endif
