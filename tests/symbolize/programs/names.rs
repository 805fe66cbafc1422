// Rust names of every common sort: generics, trait implementations, closures, dyn, references, constants.
use std::collections::HashMap;
use std::fmt::Display;

trait Area {
    fn area(&self) -> f64;
}

struct Square<const N: usize>;

impl<const N: usize> Area for Square<N> {
    #[inline(never)]
    fn area(&self) -> f64 {
        (N * N) as f64
    }
}

#[inline(never)]
fn show<T: Display + ?Sized>(value: &T, table: &mut HashMap<String, [u8; 3]>) -> usize {
    table.insert(value.to_string(), [1, 2, 3]);
    table.len()
}

#[inline(never)]
fn each(shapes: &[Box<dyn Area + Send>], f: impl Fn(&(dyn Area + Send)) -> f64) -> f64 {
    shapes.iter().map(|s| f(s.as_ref())).sum()
}

#[inline(never)]
fn through(f: extern "C" fn(*const i32) -> i32, n: i32) -> i32 {
    f(&n)
}

extern "C" fn plus_one(n: *const i32) -> i32 {
    unsafe { *n + 1 }
}

fn main() {
    let mut table = HashMap::new();
    let n = show("text", &mut table) + show(&7, &mut table);
    let total = each(&[Box::new(Square::<3>), Box::new(Square::<4>)], |s| s.area());
    std::process::exit((n as f64 + total + through(plus_one, 1) as f64 > 1000.0) as i32);
}
