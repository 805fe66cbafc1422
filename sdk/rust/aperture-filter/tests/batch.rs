//! What a filter sees of a batch, and what it makes of a header that lies.

use aperture_filter::layout::{Header, FIRST_BATCH, LOST_EVENTS};
use aperture_filter::testing::{Arena, Scene};
use aperture_filter::{Batch, Decisions, Event, Filter, FrameMemo, ProcessMemo, StackMemo, StringMemo, Watermark};

fn scene() -> Scene {
    let mut scene = Scene::new();
    let process = scene.process(42, "nginx", "/tenants/a");
    let stack = scene.stack(&["main", "serve", "read"]);
    let thread = scene.string("worker");
    scene.event(Event { pid: 42, process, stack, thread, time_ns: 7, weight: 3, ..Event::default() });
    scene.event(Event { pid: 43, time_ns: 9, ..Event::default() });
    scene
}

fn functions(batch: &Batch<'_>, stack: u32) -> Vec<String> {
    let name = |id| String::from_utf8(batch.string(id).to_vec()).unwrap();
    batch.stack(stack).map(|frame| name(frame.function)).collect()
}

#[test]
fn a_batch_shows_its_events_and_what_they_point_to() {
    let looked = scene().arena().open(|batch, decisions| {
        let event = batch.events()[0];
        assert_eq!((event.pid, event.weight, event.time_ns), (42, 3, 7));
        assert_eq!(batch.string(event.thread), b"worker");
        let process = batch.process(event.process);
        assert_eq!(
            (process.pid, batch.string(process.name), batch.string(process.cgroup)),
            (42, &b"nginx"[..], &b"/tenants/a"[..])
        );
        assert_eq!(functions(batch, event.stack), ["read", "serve", "main"]);
        assert_eq!((batch.now_ns(), batch.sequence(), batch.is_first(), batch.lost_events()), (9, 0, true, false));
        assert_eq!(decisions.verdicts.iter().map(|verdict| verdict.get()).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(decisions.redacted.len(), batch.frames().len());
    });
    looked.unwrap();
}

#[test]
fn numbers_out_of_the_tables_are_empty_rows() {
    let looked = scene().arena().open(|batch, _| {
        for id in [1000, u32::MAX] {
            assert_eq!(batch.string(id), b"");
            assert_eq!(batch.process(id), aperture_filter::Process::default());
            assert_eq!(batch.stack(id).count(), 0);
        }
    });
    looked.unwrap();
}

#[test]
fn a_trie_that_goes_round_ends() {
    let mut arena = scene().arena();
    let stacks = arena.header().stacks as usize;
    poke(&mut arena, stacks + 8, 3); // node 1 says that its parent is node 3, which is below it
    let looked = arena.open(|batch, _| {
        assert_eq!(functions(batch, 3), ["read", "serve", "main"]);
        let mut memo = StackMemo::default();
        assert!(!memo.get(batch, 3, |_| false));
    });
    looked.unwrap();
}

fn poke(arena: &mut Arena, offset: usize, value: u32) {
    arena.bytes()[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

type Field = fn(&mut Header) -> &mut u32;

fn refused(change: impl FnOnce(&mut Header, u32)) -> &'static str {
    let mut arena = scene().arena();
    let length = arena.bytes().len() as u32;
    change(arena.header(), length);
    arena.open(|_, _| ()).expect_err("a header that lies was believed")
}

#[test]
fn a_header_of_another_version_is_refused() {
    refused(|header, _| header.magic ^= 1);
    refused(|header, _| header.major = 2);
    refused(|header, _| header.header_size = 64);
    refused(|header, _| header.event_size = 64);
}

#[test]
fn a_later_minor_is_read() {
    let mut arena = scene().arena();
    arena.header().minor = 9;
    assert_eq!(arena.open(|batch, _| batch.events().len()), Ok(2));
}

#[test]
fn tables_out_of_the_arena_are_refused() {
    const TABLES: [Field; 8] = [
        |h| &mut h.events,
        |h| &mut h.verdicts,
        |h| &mut h.tags,
        |h| &mut h.strings,
        |h| &mut h.frames,
        |h| &mut h.stacks,
        |h| &mut h.processes,
        |h| &mut h.redacted,
    ];
    for field in TABLES {
        for far in [0xFFFF_FFF8, 1 << 31] {
            assert_eq!(refused(|header, _| *field(header) = far), "a table is not in the arena");
        }
        assert_eq!(refused(|header, length| *field(header) = (length + 7) & !7), "a table is not in the arena");
    }
    const COUNTS: [Field; 5] =
        [|h| &mut h.n_events, |h| &mut h.n_strings, |h| &mut h.n_frames, |h| &mut h.n_stacks, |h| &mut h.n_processes];
    for count in COUNTS {
        for many in [1 << 16, u32::MAX] {
            assert_eq!(refused(|header, _| *count(header) = many), "a table is not in the arena");
        }
    }
}

#[test]
fn crooked_tables_are_refused() {
    assert_eq!(refused(|header, _| header.events += 4), "a table is not at its natural boundary");
    assert_eq!(refused(|header, _| header.verdicts += 1), "a table is not at its natural boundary");
    assert_eq!(refused(|header, _| header.strings += 2), "a table is not at its natural boundary");
}

#[test]
fn what_is_written_must_not_lie_in_what_is_read() {
    const OVERLAP: &str = "what the filter writes overlaps what it reads";
    assert_eq!(refused(|header, _| header.verdicts = 0), OVERLAP);
    assert_eq!(refused(|header, _| header.verdicts = header.events), OVERLAP);
    assert_eq!(refused(|header, _| header.tags = header.verdicts), OVERLAP);
    assert_eq!(refused(|header, _| header.tags = header.strings), OVERLAP);
    assert_eq!(refused(|header, _| header.redacted = header.frames), OVERLAP);
    assert_eq!(refused(|header, _| header.redacted = header.stacks), OVERLAP);
}

#[test]
fn strings_out_of_the_arena_are_empty() {
    let mut arena = scene().arena();
    let (strings, verdicts) = (arena.header().strings as usize, arena.header().verdicts);
    let thread = arena.open(|batch, _| batch.events()[0].thread).unwrap();
    let slice = strings + 8 * thread as usize;
    poke(&mut arena, slice + 4, u32::MAX); // longer than the arena
    assert_eq!(arena.open(|batch, _| batch.string(thread).len()), Ok(0));
    poke(&mut arena, slice, u32::MAX); // begins behind it
    assert_eq!(arena.open(|batch, _| batch.string(thread).len()), Ok(0));
    poke(&mut arena, slice, verdicts); // lies where verdicts are written
    poke(&mut arena, slice + 4, 2);
    assert_eq!(arena.open(|batch, _| batch.string(thread).len()), Ok(0));
}

#[test]
fn an_arena_too_small_for_a_header_is_refused() {
    let mut words = [0u64; 15];
    // SAFETY: the words are ours.
    let opened = unsafe { Batch::open(words.as_mut_ptr().cast(), 120) };
    assert_eq!(opened.err(), Some("the header is not in the arena"));
}

#[test]
fn flags_are_told() {
    let mut arena = scene().arena();
    arena.header().flags = LOST_EVENTS;
    assert_eq!(arena.open(|batch, _| (batch.lost_events(), batch.is_first())), Ok((true, false)));
    arena.header().flags = FIRST_BATCH;
    assert_eq!(arena.open(|batch, _| (batch.lost_events(), batch.is_first())), Ok((false, true)));
}

#[test]
fn a_watermark_gives_what_is_new_and_all_of_a_new_generation() {
    let mut scene = scene();
    let mut mark = Watermark::default();
    let mut new = |scene: &Scene| scene.arena().open(|batch, _| mark.advance(batch, batch.n_strings())).unwrap();
    let first = new(&scene);
    assert_eq!(first.start, 0);
    assert!(new(&scene).is_empty());
    scene.string("one more");
    assert_eq!(new(&scene), first.end..first.end + 1);
    scene.new_generation();
    assert_eq!(new(&scene), 0..1);
}

/// Asks all the memos, and counts how often they ask.
#[derive(Default)]
struct Asking {
    strings: StringMemo,
    frames: FrameMemo,
    processes: ProcessMemo,
    stacks: StackMemo,
    asked: usize,
}

impl Filter for Asking {
    fn on_batch(&mut self, batch: &Batch<'_>, decisions: &mut Decisions<'_>) {
        let asked = &mut self.asked;
        for (event, verdict) in batch.events().iter().zip(&mut *decisions.verdicts) {
            let mut count = |answer: bool| {
                *asked += 1;
                answer
            };
            let thread = self.strings.get(batch, event.thread, |name| count(name == b"worker"));
            let process =
                self.processes.get(batch, event.process, |process| count(batch.string(process.name) == b"nginx"));
            let frame = self.frames.get(batch, 1, |frame| count(batch.string(frame.function) == b"main"));
            let stack = self.stacks.get(batch, event.stack, |frame| count(batch.string(frame.function) == b"serve"));
            let answers = [thread, process, frame, stack].map(u16::from);
            verdict.sample(answers[0] | answers[1] << 1 | answers[2] << 2 | answers[3] << 3);
        }
    }
}

#[test]
fn memos_ask_once_for_each_row() {
    let (mut scene, mut filter) = (scene(), Asking::default());
    assert_eq!(scene.run(&mut filter).verdicts, [15, 4]);
    assert_eq!(filter.asked, 2 + 2 + 1 + 2, "serve is found below read, which is not asked");
    let before = filter.asked;
    let (worker, nginx) = (scene.string("worker"), scene.process(42, "nginx", "/tenants/a"));
    let (deeper, beside) = (scene.stack(&["main", "serve", "read", "page fault"]), scene.stack(&["main", "idle"]));
    scene.event(Event { thread: worker, process: nginx, stack: deeper, ..Event::default() });
    scene.event(Event { thread: worker, process: nginx, stack: beside, ..Event::default() });
    assert_eq!(scene.run(&mut filter).verdicts, [15, 7]);
    assert_eq!(filter.asked, before + 1, "only `idle` is new and has no parent that says yes");
}

#[test]
fn memos_begin_anew_with_a_generation() {
    let (mut scene, mut filter) = (scene(), Asking::default());
    scene.run(&mut filter);
    scene.new_generation();
    let (other, process, stack) = (scene.string("other"), scene.process(7, "python", ""), scene.stack(&["idle"]));
    scene.event(Event { thread: other, process, stack, ..Event::default() });
    assert_eq!(scene.run(&mut filter).verdicts, [0]);
}

#[test]
fn memos_answer_for_numbers_that_no_row_has() {
    let (mut scene, mut filter) = (scene(), Asking::default());
    scene.event(Event { thread: u32::MAX, process: u32::MAX, stack: u32::MAX, ..Event::default() });
    assert_eq!(scene.run(&mut filter).verdicts, [15, 4, 4]);
}
