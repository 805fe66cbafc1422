/* Keeps the events of processes whose name has a text in it, or drops them.
 *
 * Settings: `name`, the text; `drop`, true to drop what is named and to keep the rest. */
#include "aperture_filter.h"

static ap_text wanted;
static bool drops;
static ap_memo named;

static bool configure(ap_settings *settings) {
    wanted = ap_text_of(settings, "name");
    drops = ap_boolean_of(settings, "drop", false);
    return wanted.length ? true : ap_refuse(settings, "name", "is needed");
}

static bool is_named(const ap_batch *batch, uint32_t row) {
    uint8_t answer = ap_answered(&named, batch, batch->n_processes, row);
    if (answer != AP_UNKNOWN)
        return answer == AP_YES;
    ap_text name = ap_string(batch, ap_process_at(batch, row)->name);
    return ap_answer(&named, batch->n_processes, row, ap_contains(name, wanted));
}

static void on_batch(ap_batch *batch) {
    for (uint32_t i = 0; i < batch->n_events; i++)
        if (is_named(batch, batch->events[i].process) == drops)
            ap_drop(batch, i);
}

AP_FILTER(configure, on_batch, "")
