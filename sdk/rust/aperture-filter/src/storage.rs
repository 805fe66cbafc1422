//! Memory that is given out and never taken back: a few regions in the life of an instance, so nothing is ever freed.
//!
//! A region that the host asked for is remembered. A header is believed only inside one, and no view reaches out of
//! it: whatever a header says, the filter's own memory is never seen through it.

#![allow(unsafe_code)]

use core::ptr::NonNull;

/// Of every region the host gets.
pub(crate) const ALIGNMENT: usize = 64;

/// `size` zeroed bytes that stay, 64-byte aligned. None: there is no memory left.
pub(crate) fn zeroed(size: usize) -> Option<NonNull<u8>> {
    platform::zeroed(size)
}

/// A copy of some bytes that stays.
pub(crate) fn keep(bytes: &[u8]) -> Option<&'static mut [u8]> {
    let region = zeroed(bytes.len())?;
    // SAFETY: the region is ours alone, zeroed, `bytes.len()` long, and is never given out again.
    let copy = unsafe { core::slice::from_raw_parts_mut(region.as_ptr(), bytes.len()) };
    copy.copy_from_slice(bytes);
    Some(copy)
}

#[cfg(target_arch = "wasm32")]
pub(crate) use platform::{region_at, region_for_host, Global};

#[cfg(target_arch = "wasm32")]
mod platform {
    use super::ALIGNMENT;
    use core::cell::UnsafeCell;
    use core::ptr::NonNull;

    const PAGE: usize = 1 << 16;
    const REGIONS: usize = 8;

    /// A variable of the whole instance.
    pub struct Global<T>(UnsafeCell<T>);

    // SAFETY: a filter has one thread.
    unsafe impl<T> Sync for Global<T> {}

    impl<T> Global<T> {
        pub const fn new(value: T) -> Self {
            Global(UnsafeCell::new(value))
        }

        /// # Safety
        /// No other reference to it may be in use.
        #[allow(clippy::mut_from_ref)]
        pub unsafe fn get(&self) -> &mut T {
            &mut *self.0.get()
        }
    }

    struct Heap {
        /// The next free byte.
        top: usize,
        /// One past the last byte that is ours. Memory beyond it may be somebody else's: whoever calls memory.grow
        /// owns what it added.
        limit: usize,
        regions: [(usize, usize); REGIONS],
        n_regions: usize,
    }

    static HEAP: Global<Heap> = Global::new(Heap { top: 0, limit: 0, regions: [(0, 0); REGIONS], n_regions: 0 });

    extern "C" {
        /// The linker's word for where the memory behind statics and stack begins.
        static __heap_base: u8;
    }

    pub(crate) fn zeroed(size: usize) -> Option<NonNull<u8>> {
        // SAFETY: the only reference, for the length of this call.
        let heap = unsafe { HEAP.get() };
        if heap.limit == 0 {
            // SAFETY: its address alone is taken.
            heap.top = unsafe { core::ptr::addr_of!(__heap_base) } as usize;
            heap.limit = core::arch::wasm32::memory_size(0).checked_mul(PAGE)?;
        }
        let start = heap.top.checked_add(ALIGNMENT - 1)? & !(ALIGNMENT - 1);
        let end = start.checked_add(size)?;
        if end <= heap.limit {
            heap.top = end;
            return NonNull::new(start as *mut u8);
        }
        let lacking = end - heap.limit;
        let old = core::arch::wasm32::memory_size(0).checked_mul(PAGE)?;
        let (start, pages) = if old == heap.limit { (start, lacking / PAGE + 1) } else { (old, size / PAGE + 1) };
        if core::arch::wasm32::memory_grow(0, pages) == usize::MAX {
            return None;
        }
        heap.limit = old.checked_add(pages * PAGE)?;
        heap.top = start.checked_add(size)?;
        NonNull::new(start as *mut u8)
    }

    /// The same for the host: 0 if there is none.
    pub(crate) fn region_for_host(size: usize) -> usize {
        // SAFETY: the only reference until `zeroed` is called, which has its own.
        if unsafe { HEAP.get() }.n_regions == REGIONS {
            return 0;
        }
        let start = match zeroed(size) {
            Some(region) => region.as_ptr() as usize,
            None => return 0,
        };
        // SAFETY: as above, after that call.
        let heap = unsafe { HEAP.get() };
        heap.regions[heap.n_regions] = (start, size);
        heap.n_regions += 1;
        start
    }

    /// How many bytes of a region of the host's lie at `address` and behind it; 0 outside all of them.
    pub(crate) fn region_at(address: usize) -> usize {
        // SAFETY: the only reference, for the length of this call.
        let heap = unsafe { HEAP.get() };
        for &(start, size) in &heap.regions[..heap.n_regions] {
            if address >= start && address - start < size {
                return size - (address - start);
            }
        }
        0
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod platform {
    use super::ALIGNMENT;
    use core::ptr::NonNull;
    use std::alloc::{alloc_zeroed, Layout};

    pub(crate) fn zeroed(size: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(size.max(1), ALIGNMENT).ok()?;
        // SAFETY: the layout is not empty.
        NonNull::new(unsafe { alloc_zeroed(layout) })
    }
}
