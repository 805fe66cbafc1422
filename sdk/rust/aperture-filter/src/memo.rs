//! A question that is asked of every event, and answered once for each row it depends on.

use crate::batch::{Batch, Watermark};
use crate::layout::{Frame, Process};
use crate::table::Table;

const NO: u8 = 1;
const YES: u8 = 2;

/// Answers by number of a row, of one generation. 0: not asked yet.
#[derive(Default)]
struct Memo {
    generation: Option<u32>,
    answers: Table<u8>,
}

impl Memo {
    #[inline]
    fn get(&mut self, generation: u32, rows: usize, row: u32, ask: impl FnOnce() -> bool) -> bool {
        if self.generation == Some(generation) {
            if let Some(&answer @ (NO | YES)) = self.answers.get(row as usize) {
                return answer == YES;
            }
        }
        self.learn(generation, rows, row, ask)
    }

    #[cold]
    #[inline(never)]
    fn learn(&mut self, generation: u32, rows: usize, row: u32, ask: impl FnOnce() -> bool) -> bool {
        let answer = ask();
        if self.generation != Some(generation) {
            self.generation = Some(generation);
            self.answers.clear();
        }
        // A number that no row has is not remembered: it may have one later.
        if (row as usize) < rows && self.answers.lengthen(rows) {
            self.answers[row as usize] = if answer { YES } else { NO };
        }
        answer
    }
}

/// A question to strings.
#[derive(Default)]
pub struct StringMemo(Memo);

impl StringMemo {
    /// What `ask` says, or said before, of a string.
    #[inline]
    pub fn get(&mut self, batch: &Batch<'_>, id: u32, ask: impl FnOnce(&[u8]) -> bool) -> bool {
        self.0.get(batch.generation(), batch.n_strings(), id, || ask(batch.string(id)))
    }
}

/// A question to processes.
#[derive(Default)]
pub struct ProcessMemo(Memo);

impl ProcessMemo {
    /// What `ask` says, or said before, of a process.
    #[inline]
    pub fn get(&mut self, batch: &Batch<'_>, row: u32, ask: impl FnOnce(Process) -> bool) -> bool {
        self.0.get(batch.generation(), batch.processes().len(), row, || ask(batch.process(row)))
    }
}

/// A question to frames.
#[derive(Default)]
pub struct FrameMemo(Memo);

impl FrameMemo {
    /// What `ask` says, or said before, of a frame. There is no frame of that number: no.
    #[inline]
    pub fn get(&mut self, batch: &Batch<'_>, frame: u32, ask: impl FnOnce(&Frame) -> bool) -> bool {
        let frames = batch.frames();
        self.0.get(batch.generation(), frames.len(), frame, || frames.get(frame as usize).map_or(false, ask))
    }
}

/// Whether a stack has a frame of which something is true. A node says yes if its frame or its parent does, and a
/// parent comes before its children: one pass over the nodes that are new, whatever the depth of the stacks.
#[derive(Default)]
pub struct StackMemo {
    frames: FrameMemo,
    watermark: Watermark,
    generation: Option<u32>,
    answers: Table<bool>,
}

impl StackMemo {
    /// Whether `ask` says yes of any frame of the stack. It must say the same of a frame each time.
    #[inline]
    pub fn get(&mut self, batch: &Batch<'_>, stack: u32, ask: impl FnMut(&Frame) -> bool) -> bool {
        if self.generation == Some(batch.generation()) {
            if let Some(&answer) = self.answers.get(stack as usize) {
                return answer;
            }
        }
        self.learn(batch, ask);
        self.answers.get(stack as usize).map_or(false, |&answer| answer)
    }

    #[cold]
    #[inline(never)]
    fn learn(&mut self, batch: &Batch<'_>, mut ask: impl FnMut(&Frame) -> bool) {
        let stacks = batch.stacks();
        let new = self.watermark.advance(batch, stacks.len());
        self.generation = Some(batch.generation());
        if new.start == 0 {
            self.answers.clear();
        }
        assert!(self.answers.lengthen(stacks.len()), "no memory for the stacks");
        for node in new {
            let (parent, frame) = (stacks[node].parent as usize, stacks[node].frame);
            let above = parent < node && self.answers[parent];
            self.answers[node] = node != 0 && (above || self.frames.get(batch, frame, &mut ask));
        }
    }
}
