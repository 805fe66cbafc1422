//! What a filter says about a batch.

/// What becomes of one event. It is kept unless something else is said.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict(u32);

impl Verdict {
    /// Keep the event as it is.
    #[inline]
    pub fn keep(&mut self) {
        self.0 = 1;
    }

    /// Drop the event.
    #[inline]
    #[allow(clippy::should_implement_trait)] // the word of the interface; nobody would look for a destructor here
    pub fn drop(&mut self) {
        self.0 = 0;
    }

    /// Keep the event, and let it stand for `n` like it: its weight and its duration are multiplied. 0 drops it.
    #[inline]
    pub fn sample(&mut self, n: u16) {
        self.0 = u32::from(n);
    }

    /// Keep the event if `wanted`, else drop it.
    #[inline]
    pub fn keep_if(&mut self, wanted: bool) {
        self.0 = u32::from(wanted);
    }

    /// 0 dropped, 1 kept, n kept and multiplied.
    #[inline]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// The tags of one event, of those that the filter names in [`Filter::TAGS`](crate::Filter::TAGS). None at first.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags(u32);

impl Tags {
    /// Give it the tag of this position in `TAGS`. Panics from 16 on.
    #[inline]
    pub fn add(&mut self, position: u32) {
        assert!(position < 16);
        self.0 |= 1 << position;
    }

    /// Bit i is the i-th name.
    #[inline]
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// Whether the names of one frame are hidden.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redaction(u8);

impl Redaction {
    /// Hide the frame's names, for good: this is read for frames that are new in this batch alone.
    #[inline]
    pub fn hide(&mut self) {
        self.0 = 1;
    }

    /// Whether it was hidden in this batch.
    #[inline]
    pub fn is_hidden(self) -> bool {
        self.0 != 0
    }
}

/// Where a filter writes what it decides.
pub struct Decisions<'a> {
    /// One for each event, in their order.
    pub verdicts: &'a mut [Verdict],
    /// One for each event, in their order.
    pub tags: &'a mut [Tags],
    /// One for each frame of [`Batch::frames`](crate::Batch::frames).
    pub redacted: &'a mut [Redaction],
}
