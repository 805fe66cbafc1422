/* Prints where every field lies: `record field offset bytes`. The profiler's tests compare it with its own records. */
#include <stdio.h>

#include "aperture_filter.h"

void ap_host_log(int level, const char *text, uint32_t length) {
    (void)level, (void)text, (void)length;
}

#define FIELD(record, type, field)                                                                                     \
    printf("%s %s %zu %zu\n", record, #field, offsetof(type, field), sizeof((type *)0)->field)
#define H(field) FIELD("Header", ap_header, field)
#define E(field) FIELD("Event", ap_event, field)
#define F(field) FIELD("Frame", ap_frame, field)
#define P(field) FIELD("Process", ap_process, field)

int main(void) {
    H(magic), H(major), H(minor), H(header_size), H(event_size), H(n_events), H(events), H(verdicts), H(tags);
    H(generation), H(flags), H(now_ns), H(sequence), H(unused), H(n_strings), H(strings), H(n_frames), H(frames);
    H(n_stacks), H(stacks), H(n_processes), H(processes), H(redacted), H(rest);
    E(time_ns), E(duration_ns), E(maximum_ns), E(value), E(pid), E(tid), E(process), E(thread), E(name), E(stack);
    E(weight), E(aux), E(kind), E(flags), E(cpu), E(tags);
    F(function), F(module), F(file), F(line), F(kind);
    P(start_ns), P(pid), P(name), P(cgroup), P(container);
    FIELD("Slice", ap_slice, offset), FIELD("Slice", ap_slice, length);
    FIELD("Node", ap_node, parent), FIELD("Node", ap_node, frame);
    printf("Header * 0 %zu\nEvent * 0 %zu\nFrame * 0 %zu\n", sizeof(ap_header), sizeof(ap_event), sizeof(ap_frame));
    printf("Process * 0 %zu\nSlice * 0 %zu\nNode * 0 %zu\n", sizeof(ap_process), sizeof(ap_slice), sizeof(ap_node));
    return 0;
}
