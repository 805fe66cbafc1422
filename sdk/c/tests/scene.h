/* A batch put together in memory, to test a filter natively and without a runtime. Include it before the filter.
 *
 *     scene_begin(&scene);
 *     scene_event(&scene)->process = scene_process(&scene, 42, "nginx", "");
 *     ap_batch *batch = scene_open(&scene);
 *     on_batch(batch);
 *     CHECK(batch->verdicts[0] == 1); */
#ifndef SCENE_H
#define SCENE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aperture_filter.h"

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                                                 \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { SCENE_ROWS = 256, SCENE_TEXT = 4096 };

/* The arena as the host lays it out, and what of it was opened. */
typedef struct {
    ap_header header;
    ap_event events[SCENE_ROWS];
    ap_process processes[SCENE_ROWS];
    uint32_t verdicts[SCENE_ROWS], tags[SCENE_ROWS];
    ap_slice strings[SCENE_ROWS];
    ap_frame frames[SCENE_ROWS];
    ap_node stacks[SCENE_ROWS];
    uint8_t redacted[SCENE_ROWS];
    char text[SCENE_TEXT];
    uint32_t n_text;
    ap_batch batch;
} ap_scene;

static char scene_log[1024]; /* the last line */

void ap_host_log(int level, const char *text, uint32_t length) {
    (void)level;
    snprintf(scene_log, sizeof scene_log, "%.*s", (int)length, text);
}

static inline void scene_begin(ap_scene *scene) {
    memset(scene, 0, sizeof *scene);
    ap_header header = {
        .magic = AP_MAGIC,
        .major = AP_MAJOR,
        .minor = AP_MINOR,
        .header_size = sizeof(ap_header),
        .event_size = sizeof(ap_event),
        .events = offsetof(ap_scene, events),
        .verdicts = offsetof(ap_scene, verdicts),
        .tags = offsetof(ap_scene, tags),
        .generation = 1,
        .flags = AP_FIRST_BATCH,
        .n_strings = 1,
        .strings = offsetof(ap_scene, strings),
        .n_frames = 1,
        .frames = offsetof(ap_scene, frames),
        .n_stacks = 1,
        .stacks = offsetof(ap_scene, stacks),
        .n_processes = 1,
        .processes = offsetof(ap_scene, processes),
        .redacted = offsetof(ap_scene, redacted),
    };
    scene->header = header;
}

static inline uint32_t scene_string(ap_scene *scene, const char *text) {
    ap_slice slice = {(uint32_t)(offsetof(ap_scene, text) + scene->n_text), (uint32_t)strlen(text)};
    CHECK(scene->header.n_strings < SCENE_ROWS && scene->n_text + slice.length < SCENE_TEXT);
    memcpy(scene->text + scene->n_text, text, slice.length);
    scene->n_text += slice.length;
    scene->strings[scene->header.n_strings] = slice;
    return scene->header.n_strings++;
}

static inline uint32_t scene_process(ap_scene *scene, uint32_t pid, const char *name, const char *cgroup) {
    CHECK(scene->header.n_processes < SCENE_ROWS);
    ap_process process = {.pid = pid, .name = scene_string(scene, name), .cgroup = scene_string(scene, cgroup)};
    scene->processes[scene->header.n_processes] = process;
    return scene->header.n_processes++;
}

/* The stack of one more function, called from `parent`. */
static inline uint32_t scene_call(ap_scene *scene, uint32_t parent, const char *function) {
    CHECK(scene->header.n_stacks < SCENE_ROWS);
    ap_frame frame = {.function = scene_string(scene, function), .kind = AP_FRAME_NATIVE};
    ap_node node = {parent, scene->header.n_frames};
    scene->frames[scene->header.n_frames++] = frame;
    scene->stacks[scene->header.n_stacks] = node;
    return scene->header.n_stacks++;
}

static inline ap_event *scene_event(ap_scene *scene) {
    CHECK(scene->header.n_events < SCENE_ROWS);
    scene->verdicts[scene->header.n_events] = 1;
    return &scene->events[scene->header.n_events++];
}

static inline ap_batch *scene_open(ap_scene *scene) {
    CHECK(!ap_open(&scene->batch, &scene->header, offsetof(ap_scene, n_text)));
    return &scene->batch;
}

/* What is wrong with the header. */
static inline const char *scene_problem(ap_scene *scene) {
    return ap_open(&scene->batch, &scene->header, offsetof(ap_scene, n_text));
}

/* Settings as the host gives them, in a copy. */
static inline bool scene_configure(ap_configure_function configure, const char *json) {
    char *copy = ap_zeroed(strlen(json) + 1);
    memcpy(copy, json, strlen(json));
    return ap_configure_with(configure, copy, (uint32_t)strlen(json));
}

#endif
