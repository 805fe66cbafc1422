//! Prints where every field lies: `record field offset bytes`. The profiler's tests compare it with its own records.

use aperture_filter::layout::{Event, Frame, Header, Node, Process, Slice};
use std::mem::{size_of, size_of_val};

macro_rules! describe {
    ($record:ident: $($field:ident)+) => {{
        let record = $record::default();
        let start = std::ptr::addr_of!(record) as usize;
        $(
            let offset = std::ptr::addr_of!(record.$field) as usize - start;
            println!("{} {} {} {}", stringify!($record), stringify!($field), offset, size_of_val(&record.$field));
        )+
        println!("{} * 0 {}", stringify!($record), size_of::<$record>());
    }};
}

fn main() {
    describe!(Header: magic major minor header_size event_size n_events events verdicts tags generation flags now_ns
        sequence unused n_strings strings n_frames frames n_stacks stacks n_processes processes redacted rest);
    describe!(Event: time_ns duration_ns maximum_ns value pid tid process thread name stack weight aux kind flags cpu tags);
    describe!(Slice: offset length);
    describe!(Frame: function module file line kind);
    describe!(Node: parent frame);
    describe!(Process: start_ns pid name cgroup container);
}
