// Generic functions, twelve deep, over two types; a closure and a trait object at the end.
use std::hint::black_box;
use std::time::{Duration, Instant};

trait Work {
    fn work(&self, x: u64) -> u64;
}

struct Multiplies(u64);

impl Work for Multiplies {
    #[inline(never)]
    fn work(&self, x: u64) -> u64 {
        let mut x = x;
        for _ in 0..3000 {
            x = x.wrapping_mul(self.0).wrapping_add(1442695040888963407);
            x = black_box(x);
        }
        x
    }
}

trait Word: Copy {
    fn grown(self) -> Self;
    fn number(self) -> u64;
}

impl Word for u32 {
    fn grown(self) -> Self {
        self.wrapping_mul(3)
    }
    fn number(self) -> u64 {
        self as u64
    }
}

impl Word for u64 {
    fn grown(self) -> Self {
        self.wrapping_mul(5)
    }
    fn number(self) -> u64 {
        self
    }
}

#[inline(never)]
fn called<T: Word>(work: &dyn Work, x: T) -> u64 {
    let cells = black_box([x.number(); 9]);
    work.work(cells[3]) + cells[7]
}

#[inline(never)]
fn descend<T: Word>(n: u32, work: &dyn Work, x: T) -> u64 {
    let kept = vec![x.number(); 2]; // something to drop: a landing pad in every frame
    if n == 1 {
        return black_box(called(work, x)) + kept[1];
    }
    black_box(descend(n - 1, work, x.grown())) + kept[0]
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).map_or(1.0, |s| s.parse().unwrap());
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let work = black_box(Multiplies(6364136223846793005));
    let mut x = 1u64;
    while Instant::now() < end {
        for _ in 0..10 {
            x = x.wrapping_add(descend(12, &work, x as u32));
            x = x.wrapping_add(descend(12, &work, x));
        }
    }
    black_box(x);
}
