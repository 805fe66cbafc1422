#include "scene.h"

#include "../examples/process_name.c"

static ap_scene scene;

static ap_batch *decided(const char *json) {
    CHECK(scene_configure(configure, json));
    named = (ap_memo){0};
    scene_begin(&scene);
    scene_event(&scene)->process = scene_process(&scene, 1, "nginx", "");
    scene_event(&scene)->process = scene_process(&scene, 2, "nginx: worker", "");
    scene_event(&scene)->process = scene_process(&scene, 3, "postgres", "");
    scene_event(&scene)->process = 1;
    scene_event(&scene); /* of an unknown process */
    scene_event(&scene)->process = UINT32_MAX;
    ap_batch *batch = scene_open(&scene);
    on_batch(batch);
    return batch;
}

static void what_is_named_is_kept(void) {
    const uint32_t expected[] = {1, 1, 0, 1, 0, 0};
    CHECK(!memcmp(decided("{\"name\":\"nginx\"}")->verdicts, expected, sizeof expected));
}

static void or_dropped(void) {
    const uint32_t expected[] = {0, 0, 1, 0, 1, 1};
    CHECK(!memcmp(decided("{\"name\":\"nginx\",\"drop\":true}")->verdicts, expected, sizeof expected));
}

static void a_new_generation_is_asked_anew(void) {
    decided("{\"name\":\"nginx\"}");
    scene_begin(&scene);
    scene.header.generation = 2;
    scene_event(&scene)->process = scene_process(&scene, 9, "redis", "");
    on_batch(scene_open(&scene));
    CHECK(scene.verdicts[0] == 0);
}

static void a_name_is_needed(void) {
    CHECK(!scene_configure(configure, "{}") && !strcmp(scene_log, "is needed"));
    CHECK(!scene_configure(configure, "{\"name\":1}") && !strcmp(scene_log, "must be a text"));
    CHECK(!scene_configure(configure, "{\"name\":\"x\",\"dorp\":true}") &&
          !strcmp(scene_log, "is no setting of this filter"));
}

int main(void) {
    what_is_named_is_kept();
    or_dropped();
    a_new_generation_is_asked_anew();
    a_name_is_needed();
    return 0;
}
