#include "scene.h"

#include "../examples/slow_syscalls.c"

static ap_scene scene;

static ap_batch *decided(const char *json) {
    static const struct {
        uint16_t kind;
        uint64_t maximum_ns;
    } events[] = {{AP_SYSCALL, 999999}, {AP_SYSCALL, 1000000}, {AP_SYSCALL, 5000}, {AP_CPU, 0}, {AP_LOCK, 5000000}};
    CHECK(scene_configure(configure, json));
    scene_begin(&scene);
    for (uint32_t i = 0; i < 5; i++) {
        ap_event *event = scene_event(&scene);
        event->kind = events[i].kind;
        event->maximum_ns = events[i].maximum_ns;
    }
    ap_batch *batch = scene_open(&scene);
    on_batch(batch);
    return batch;
}

int main(void) {
    const uint32_t verdicts[] = {0, 1, 0, 1, 1}, tags[] = {0, 1, 0, 0, 0}, all[] = {1, 1, 1, 1, 1};
    ap_batch *batch = decided("{}");
    CHECK(!memcmp(batch->verdicts, verdicts, sizeof verdicts) && !memcmp(batch->tags, tags, sizeof tags));
    CHECK(!memcmp(decided("{\"at_least_us\":5}")->verdicts, all, sizeof all));
    CHECK(!scene_configure(configure, "{\"at_least_us\":-1}") && !strcmp(scene_log, "is out of its range"));
    return 0;
}
