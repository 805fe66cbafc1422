//! Words for the profiler's log: lines of at most 1 KiB, of which the host shows 20 a second.

#![allow(unsafe_code)]

use core::fmt;

const LINE: usize = 1024;

/// How grave a line is.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The filter cannot do what it is for.
    Error = 0,
    /// It can, and somebody should know.
    Warning = 1,
    /// Worth knowing.
    Info = 2,
    /// For whoever writes the filter.
    Debug = 3,
}

/// A line for the profiler's log.
pub fn log(level: Level, text: &str) {
    send(level, text.as_bytes());
}

/// A formatted line for the profiler's log: `log!(Level::Info, "{} processes", n)`. Formatting makes a filter some
/// kilobytes larger; [`log()`](crate::log()) does not.
#[macro_export]
macro_rules! log {
    ($level:expr, $($arguments:tt)+) => {{
        let mut line = $crate::Line::default();
        let _ = ::core::fmt::Write::write_fmt(&mut line, ::core::format_args!($($arguments)+));
        line.send($level);
    }};
}

/// One line of the log as it is put together; what is beyond 1 KiB is left off.
pub struct Line {
    bytes: [u8; LINE],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Line { bytes: [0; LINE], length: 0 }
    }
}

impl Line {
    /// Append some UTF-8, cut between two characters where it is too long.
    pub fn push(&mut self, text: &[u8]) {
        let mut n = text.len().min(LINE - self.length);
        while n < text.len() && n > 0 && text[n] & 0xC0 == 0x80 {
            n -= 1;
        }
        self.bytes[self.length..self.length + n].copy_from_slice(&text[..n]);
        self.length += n;
    }

    /// Append a number in decimal.
    pub fn push_number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[at..]);
    }

    /// Hand it to the profiler.
    pub fn send(&self, level: Level) {
        send(level, &self.bytes[..self.length]);
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
fn send(level: Level, text: &[u8]) {
    #[link(wasm_import_module = "aperture")]
    extern "C" {
        #[link_name = "log"]
        fn host_log(level: i32, text: *const u8, length: usize);
    }
    // SAFETY: the host reads `length` bytes and keeps nothing.
    unsafe { host_log(level as i32, text.as_ptr(), text.len()) }
}

#[cfg(not(target_arch = "wasm32"))]
fn send(level: Level, text: &[u8]) {
    crate::testing::note(level, text);
}

/// Where the filter went wrong, then a trap: the host sees it as a failure, and makes a new instance.
#[cfg(all(target_arch = "wasm32", not(feature = "std")))]
#[panic_handler]
fn panic(what: &core::panic::PanicInfo<'_>) -> ! {
    let mut line = Line::default();
    line.push(b"panicked");
    if let Some(place) = what.location() {
        line.push(b" at ");
        line.push(place.file().as_bytes());
        line.push(b":");
        line.push_number(u64::from(place.line()));
    }
    line.send(Level::Error);
    core::arch::wasm32::unreachable()
}

#[cfg(test)]
mod tests {
    use super::{Level, Line};
    use crate::testing::take_log;
    use std::string::String;

    #[test]
    fn lines_are_formatted() {
        take_log();
        crate::log!(Level::Info, "{} of {}", 1, 20);
        super::log(Level::Error, "plain");
        let told = take_log();
        assert_eq!(told, [(Level::Info, String::from("1 of 20")), (Level::Error, String::from("plain"))]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        take_log();
        let mut line = Line::default();
        line.push(&[b'x'; 1023]);
        line.push("ö".as_bytes());
        line.push_number(70);
        line.send(Level::Debug);
        assert_eq!(take_log()[0].1, std::format!("{}7", "x".repeat(1023)));
    }

    #[test]
    fn numbers_are_decimal() {
        take_log();
        let mut line = Line::default();
        line.push_number(0);
        line.push(b" ");
        line.push_number(u64::MAX);
        line.send(Level::Debug);
        assert_eq!(take_log()[0].1, "0 18446744073709551615");
    }
}
