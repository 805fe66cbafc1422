/* What a filter sees of a batch, and what it makes of a header that lies. */
#include "scene.h"

static ap_scene scene;

static void begin(void) {
    scene_begin(&scene);
    ap_event *event = scene_event(&scene);
    event->process = scene_process(&scene, 42, "nginx", "/tenants/a");
    event->thread = scene_string(&scene, "worker");
    event->stack = scene_call(&scene, scene_call(&scene, scene_call(&scene, 0, "main"), "serve"), "read");
}

static bool text_is(ap_text text, const char *expected) {
    return ap_equal(text, ap_literal(expected));
}

static void a_batch_shows_what_its_events_point_to(void) {
    begin();
    const ap_batch *batch = scene_open(&scene);
    const ap_event *event = batch->events;
    CHECK(text_is(ap_string(batch, event->thread), "worker"));
    const ap_process *process = ap_process_at(batch, event->process);
    CHECK(process->pid == 42 && text_is(ap_string(batch, process->cgroup), "/tenants/a"));
    const char *expected[] = {"read", "serve", "main"};
    uint32_t depth = 0;
    for (uint32_t node = event->stack; node; node = ap_parent(batch, node), depth++)
        CHECK(depth < 3 && text_is(ap_string(batch, ap_frame_of(batch, node)->function), expected[depth]));
    CHECK(depth == 3);
}

static void numbers_out_of_the_tables_are_empty_rows(void) {
    begin();
    ap_batch *batch = scene_open(&scene);
    const uint32_t numbers[] = {1000, UINT32_MAX};
    for (int i = 0; i < 2; i++) {
        uint32_t number = numbers[i];
        CHECK(ap_string(batch, number).length == 0 && ap_process_at(batch, number)->pid == 0);
        CHECK(ap_parent(batch, number) == 0 && ap_frame_of(batch, number)->function == 0);
        ap_keep(batch, number);
        ap_drop(batch, number);
        ap_sample(batch, number, 2);
        ap_tag(batch, number, 0);
        ap_hide(batch, number);
    }
    ap_tag(batch, 0, 16);
    CHECK(batch->tags[0] == 0);
    scene.stacks[1].parent = 3; /* goes round */
    CHECK(ap_parent(batch, 1) == 0);
    scene.strings[1].length = UINT32_MAX;
    scene.strings[2].offset = UINT32_MAX;
    CHECK(ap_string(batch, 1).length == 0 && ap_string(batch, 2).length == 0);
}

static void a_header_that_lies_is_refused(void) {
    static const size_t offsets[] = {
        offsetof(ap_header, events), offsetof(ap_header, verdicts), offsetof(ap_header, tags),
        offsetof(ap_header, strings), offsetof(ap_header, frames), offsetof(ap_header, stacks),
        offsetof(ap_header, processes), offsetof(ap_header, redacted)};
    static const size_t counts[] = {
        offsetof(ap_header, n_events), offsetof(ap_header, n_strings), offsetof(ap_header, n_frames),
        offsetof(ap_header, n_stacks), offsetof(ap_header, n_processes)};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        begin();
        *(uint32_t *)((char *)&scene.header + offsets[i]) = 0xFFFFFFF8;
        CHECK(!strcmp(scene_problem(&scene), "a table is not in the arena"));
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        begin();
        *(uint32_t *)((char *)&scene.header + counts[i]) = UINT32_MAX;
        CHECK(!strcmp(scene_problem(&scene), "a table is not in the arena"));
    }
    begin();
    scene.header.events += 4;
    CHECK(!strcmp(scene_problem(&scene), "a table is not at its natural boundary"));
    begin();
    scene.header.verdicts = scene.header.events;
    CHECK(!strcmp(scene_problem(&scene), "what the filter writes overlaps what it reads"));
    begin();
    scene.header.redacted = 0;
    CHECK(!strcmp(scene_problem(&scene), "what the filter writes overlaps what it reads"));
    begin();
    scene.header.major = 2;
    CHECK(!strcmp(scene_problem(&scene), "the header is not one of this version"));
    begin();
    scene.header.minor = 9;
    CHECK(!scene_problem(&scene));
    scene.header.event_size = 64;
    CHECK(!strcmp(scene_problem(&scene), "the header's sizes are not those of this version"));
    CHECK(ap_open(&scene.batch, &scene.header, 120));
}

static void a_watermark_gives_what_is_new(void) {
    begin();
    const ap_batch *batch = scene_open(&scene);
    ap_watermark mark = {0};
    CHECK(ap_advance(&mark, batch, 5) == 0 && ap_advance(&mark, batch, 5) == 5 && ap_advance(&mark, batch, 9) == 5);
    scene.header.generation = 2;
    CHECK(ap_advance(&mark, batch, 9) == 0);
}

static void memory_is_aligned_zeroed_and_ends(void) {
    CHECK(ap_region_for_host(SIZE_MAX - 8) == 0);
    uintptr_t one = ap_region_for_host(100), other = ap_region_for_host(100);
    CHECK(one % 64 == 0 && other >= one + 100);
    CHECK(ap_region_at(one) == 100 && ap_region_at(one + 99) == 1 && ap_region_at(one + 100) == 0);
    ap_table table = {0};
    CHECK(ap_lengthen(&table, 3));
    table.bytes[2] = 7;
    CHECK(ap_lengthen(&table, 5000) && table.bytes[2] == 7 && table.bytes[4999] == 0);
    for (int i = 0; i < AP_REGIONS; i++)
        ap_region_for_host(1);
    CHECK(ap_region_for_host(1) == 0);
}

static ap_settings settings;

static bool reads(const char *json) {
    char *copy = ap_zeroed(strlen(json) + 1);
    memcpy(copy, json, strlen(json));
    return ap_read_settings(&settings, copy, (uint32_t)strlen(json));
}

static void settings_are_read(void) {
    CHECK(reads(" { \"name\" : \"nginx\", \"every\":10 ,\"keep\":false, \"on\":true } "));
    CHECK(text_is(ap_text_of(&settings, "name"), "nginx") && ap_integer_of(&settings, "every", 1, 1, 10) == 10);
    CHECK(!ap_boolean_of(&settings, "keep", true) && ap_boolean_of(&settings, "on", false));
    CHECK(ap_text_of(&settings, "absent").length == 0 && ap_integer_of(&settings, "absent", 7, 0, 9) == 7);
    CHECK(!settings.problem);
    CHECK(reads("{\"t\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00fc\\u20ac\\ud83d\\ude00z\"}"));
    CHECK(text_is(ap_text_of(&settings, "t"), "a\"\\/\b\f\n\r\tü€😀z"));
    CHECK(reads("{\"a\":-9223372036854775808,\"b\":9223372036854775807}"));
    CHECK(ap_integer_of(&settings, "a", 0, INT64_MIN, 0) == INT64_MIN);
    CHECK(ap_integer_of(&settings, "b", 0, 0, INT64_MAX) == INT64_MAX);
}

static void what_is_no_such_json_is_refused(void) {
    static const char *const wrong[] = {
        "", " ", "{", "}", "[]", "1", "{}x", "{}{}", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1\"b\":2}",
        "{a:1}", "{'a':1}", "{\"a\":1.5}", "{\"a\":1e3}", "{\"a\":01}", "{\"a\":-}", "{\"a\":+1}",
        "{\"a\":9223372036854775808}", "{\"a\":-9223372036854775809}", "{\"a\":null}", "{\"a\":{}}", "{\"a\":[]}",
        "{\"a\":tru}", "{\"a\":truex}", "{\"a\":\"x}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\ud83d\"}", "{\"a\":\"\\ud83d\\u0041\"}", "{\"a\":\"\\ude00\"}", "{\"a\":\"\\u0000\"}",
        "{\"a\":1,\"a\":2}", "{\"a\":\"\n\"}", "{\"a\":\"\\"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (reads(wrong[i])) {
            fprintf(stderr, "not refused: %s\n", wrong[i]);
            exit(1);
        }
}

static void texts_are_compared(void) {
    CHECK(ap_contains(ap_literal("neneedledle"), ap_literal("needle")));
    CHECK(!ap_contains(ap_literal("need le"), ap_literal("needle")) && !ap_contains(ap_literal(""), ap_literal("n")));
    CHECK(ap_contains(ap_literal(""), ap_literal("")) && ap_contains(ap_literal("a"), ap_literal("")));
}

int main(void) {
    a_batch_shows_what_its_events_point_to();
    numbers_out_of_the_tables_are_empty_rows();
    a_header_that_lies_is_refused();
    a_watermark_gives_what_is_new();
    settings_are_read();
    what_is_no_such_json_is_refused();
    texts_are_compared();
    memory_is_aligned_zeroed_and_ends();
    return 0;
}
