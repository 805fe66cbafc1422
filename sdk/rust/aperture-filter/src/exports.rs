//! What `filter!` makes of a [`Filter`]: the functions that the host calls.

#![allow(missing_docs)]

use crate::{layout, Configuration, Filter, Refusal};

/// Major and minor in one number, as `ap_abi_version` says them.
pub const VERSION: i32 = ((layout::MAJOR as i32) << 16) | layout::MINOR as i32;

/// A new filter with these settings.
pub fn configured<F: Filter>(json: &[u8]) -> Result<F, Refusal> {
    let settings = Configuration::parse(json)?;
    let mut filter = F::default();
    filter.configure(&settings)?;
    settings.check_all_asked()?;
    Ok(filter)
}

/// Whether these are names for tags.
pub const fn are_tags(names: &[&str]) -> bool {
    let mut i = 0;
    let mut bytes = 0;
    while i < names.len() {
        let name = names[i].as_bytes();
        let mut at = 0;
        while at < name.len() {
            if name[at] == b',' || name[at] == 0 {
                return false;
            }
            at += 1;
        }
        if at == 0 {
            return false;
        }
        bytes += at + 1;
        i += 1;
    }
    i <= 16 && bytes <= 1024
}

/// Makes a type that is a [`Filter`] the one of this module of WebAssembly.
#[macro_export]
macro_rules! filter {
    ($filter:ty) => {
        const _: () = ::core::assert!(
            $crate::exports::are_tags(<$filter as $crate::Filter>::TAGS),
            "at most 16 tags, none empty, none with a comma"
        );

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static FILTER: $crate::exports::Instance<$filter> = $crate::exports::Instance::new();

            #[no_mangle]
            extern "C" fn ap_abi_version() -> i32 {
                $crate::exports::VERSION
            }

            #[no_mangle]
            extern "C" fn ap_alloc(size: usize) -> usize {
                $crate::exports::alloc(size)
            }

            #[no_mangle]
            extern "C" fn ap_configure(json: usize, length: usize) -> i32 {
                FILTER.configure(json, length)
            }

            #[no_mangle]
            extern "C" fn ap_tags() -> usize {
                FILTER.tags()
            }

            #[no_mangle]
            extern "C" fn ap_on_batch(header: usize) -> i32 {
                FILTER.on_batch(header)
            }
        };
    };
}

#[cfg(target_arch = "wasm32")]
pub use instance::{alloc, Instance};

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)]
mod instance {
    use super::configured;
    use crate::storage::{region_at, region_for_host, zeroed, Global};
    use crate::{log, Batch, Filter, Level};

    const REFUSED: i32 = 1;
    const MALFORMED: i32 = 2;

    pub fn alloc(size: usize) -> usize {
        region_for_host(size)
    }

    /// The one filter of an instance, from its configuration on.
    pub struct Instance<F>(Global<Option<F>>);

    impl<F: Filter> Instance<F> {
        #[allow(clippy::new_without_default)]
        pub const fn new() -> Self {
            Instance(Global::new(None))
        }

        pub fn configure(&self, json: usize, length: usize) -> i32 {
            if length > region_at(json) {
                log(Level::Error, "the configuration is not in a region of ap_alloc");
                return REFUSED;
            }
            // SAFETY: it lies in a region that the host was given, and the host writes in no call.
            let json = unsafe { core::slice::from_raw_parts(json as *const u8, length) };
            match configured(json) {
                Ok(filter) => {
                    // SAFETY: the host calls no export from inside of another, so this is the only reference.
                    unsafe { *self.0.get() = Some(filter) };
                    0
                }
                Err(refusal) => {
                    refusal.log();
                    REFUSED
                }
            }
        }

        pub fn on_batch(&self, header: usize) -> i32 {
            // SAFETY: as above.
            let filter = match unsafe { self.0.get() } {
                Some(filter) => filter,
                None => {
                    log(Level::Error, "a batch before the configuration");
                    return REFUSED;
                }
            };
            // SAFETY: the bytes from there to the end of the region belong to the host, which does not touch them for
            // the length of this call; region_at says 0 where there is none.
            match unsafe { Batch::open(header as *mut u8, region_at(header)) } {
                Ok((batch, mut decisions)) => {
                    filter.on_batch(&batch, &mut decisions);
                    0
                }
                Err(problem) => {
                    log(Level::Error, problem);
                    MALFORMED
                }
            }
        }

        /// The address of the names, comma-separated, with a NUL behind.
        pub fn tags(&self) -> usize {
            let bytes = F::TAGS.iter().map(|name| name.len() + 1).sum::<usize>().max(1);
            let region = match zeroed(bytes) {
                Some(region) => region.as_ptr(),
                None => return 0,
            };
            // SAFETY: zeroed, that long, and not given out again.
            let text = unsafe { core::slice::from_raw_parts_mut(region, bytes) };
            let mut at = 0;
            for name in F::TAGS {
                if at != 0 {
                    text[at] = b',';
                    at += 1;
                }
                text[at..at + name.len()].copy_from_slice(name.as_bytes());
                at += name.len();
            }
            region as usize
        }
    }
}
