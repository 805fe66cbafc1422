//! A growing array of plain values, for what a filter remembers by the number of a row.

#![allow(unsafe_code)]

use crate::storage;
use core::ptr::NonNull;

/// Rows that begin as the default value and can be written. It grows by doubling, and what it grew out of is not used again, so that it
/// takes at most twice the room. Dropped, it leaves its memory behind: meant for what lives as long as the filter.
pub struct Table<T: Copy + Default> {
    rows: NonNull<T>,
    length: usize,
    capacity: usize,
}

impl<T: Copy + Default> Default for Table<T> {
    fn default() -> Self {
        Table { rows: NonNull::dangling(), length: 0, capacity: 0 }
    }
}

impl<T: Copy + Default> Table<T> {
    /// Lengthen it to `length` rows; the new ones hold the default value. False, and no change: there is no memory.
    pub fn lengthen(&mut self, length: usize) -> bool {
        if length <= self.length {
            return true;
        }
        if length > self.capacity && !self.grow(length) {
            return false;
        }
        for row in self.length..length {
            // SAFETY: rows up to `length` are within the capacity, and those behind self.length nobody refers to.
            unsafe { self.rows.as_ptr().add(row).write(T::default()) };
        }
        self.length = length;
        true
    }

    /// Forget all rows and keep the room.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    #[cold]
    fn grow(&mut self, length: usize) -> bool {
        assert!(core::mem::align_of::<T>() <= storage::ALIGNMENT);
        let capacity = length.max(self.capacity.saturating_mul(2)).max(256);
        let room = match capacity.checked_mul(core::mem::size_of::<T>()).and_then(storage::zeroed) {
            Some(room) => room.cast::<T>(),
            None => return false,
        };
        // SAFETY: both are regions of their own, each longer than self.length rows.
        unsafe { core::ptr::copy_nonoverlapping(self.rows.as_ptr(), room.as_ptr(), self.length) };
        self.rows = room;
        self.capacity = capacity;
        true
    }
}

impl<T: Copy + Default> core::ops::Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `length` rows from `rows` on are ours and initialised.
        unsafe { core::slice::from_raw_parts(self.rows.as_ptr(), self.length) }
    }
}

impl<T: Copy + Default> core::ops::DerefMut for Table<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.rows.as_ptr(), self.length) }
    }
}

// SAFETY: it owns its rows.
unsafe impl<T: Copy + Default + Send> Send for Table<T> {}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn rows_are_zero_and_stay_while_it_grows() {
        let mut table = Table::<u32>::default();
        assert!(table.is_empty());
        assert!(table.lengthen(3));
        table[2] = 7;
        assert!(table.lengthen(100_000));
        assert_eq!((table.len(), table[1], table[2], table[99_999]), (100_000, 0, 7, 0));
    }

    #[test]
    fn a_cleared_table_is_zero_again() {
        let mut table = Table::<u8>::default();
        table.lengthen(4);
        table.fill(9);
        table.clear();
        assert!(table.is_empty());
        table.lengthen(4);
        assert_eq!(&table[..], [0, 0, 0, 0]);
    }

    #[test]
    fn no_memory_is_no_change() {
        let mut table = Table::<u64>::default();
        table.lengthen(2);
        assert!(!table.lengthen(usize::MAX / 4));
        assert_eq!(table.len(), 2);
    }
}
