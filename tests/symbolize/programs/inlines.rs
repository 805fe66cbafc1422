// Functions inlined three deep; see test_inlines.py.
use std::hint::black_box;

#[inline(always)]
fn third(x: u64) -> u64 {
    let mut sum = x;
    for i in 0..black_box(3u64) {
        sum = sum.wrapping_mul(31).wrapping_add(black_box(i));
    }
    sum
}

struct Mixer(u64);

impl Mixer {
    #[inline(always)]
    fn second(&self, x: u64) -> u64 {
        third(x + self.0) ^ third(x)
    }
}

#[inline(always)]
fn first<T: Into<u64>>(x: T, mixer: &Mixer) -> u64 {
    mixer.second(black_box(x.into())) + 1
}

#[inline(never)]
#[no_mangle]
pub extern "C" fn outer_rust(x: u64) -> u64 {
    let mixer = Mixer(black_box(x));
    [1u32, 2, 3].iter().map(|&n| first(black_box(n), &mixer)).sum::<u64>()
}

fn main() {
    println!("outer_rust {:x}", outer_rust as extern "C" fn(u64) -> u64 as usize);
    black_box(outer_rust(3));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}
