/* Of the system calls only the slow ones, tagged `slow`. Every other kind of event passes.
 *
 * An event of a system call stands for a bucket of latencies: it is slow if its longest call took that long.
 *
 * Settings: `at_least_us`, by default 1,000. */
#include "aperture_filter.h"

enum { SLOW };

static uint64_t at_least_ns;

static bool configure(ap_settings *settings) {
    at_least_ns = (uint64_t)ap_integer_of(settings, "at_least_us", 1000, 0, 1000000000000) * 1000;
    return true;
}

static void on_batch(ap_batch *batch) {
    for (uint32_t i = 0; i < batch->n_events; i++) {
        if (batch->events[i].kind != AP_SYSCALL)
            continue;
        if (batch->events[i].maximum_ns >= at_least_ns)
            ap_tag(batch, i, SLOW);
        else
            ap_drop(batch, i);
    }
}

AP_FILTER(configure, on_batch, "slow")
