// Calls functions for as long as it runs; see test_runtimes.py, which knows the places of these two.

function innermost(n) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += (Math.sqrt(i) * i) % 7;
  return sum;
}

class Shape {
  area(n) {
    return innermost(n) + 1;
  }
}

let total = 0;
const shape = new Shape();
for (;;) total += shape.area(1000);
