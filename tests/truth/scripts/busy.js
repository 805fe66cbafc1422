// Known functions: `outer` spends three parts of its time in `three`, one in `one`, which are called too seldom to
// become a part of it. Runs for so many seconds.
"use strict";

function three(turns) {
  let sum = 0;
  for (let i = 0; i < turns; i++) sum = (sum * 31 + i) % 1000003;
  return sum;
}

function one(turns) {
  let sum = 0;
  for (let i = 0; i < turns; i++) sum = (sum * 31 + i) % 1000003;
  return sum;
}

class Work {
  outer(turns) {
    return three(3 * turns) + one(turns);
  }
}

function main(seconds, turns) {
  const end = Date.now() + 1000 * seconds;
  const work = new Work();
  while (Date.now() < end) [turns].forEach((n) => work.outer(n));
}

main(+process.argv[2], +process.argv[3]);
