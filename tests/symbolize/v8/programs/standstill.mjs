// Functions of every kind, each of which is called by the one before, until the last one waits for ever.
import { writeSync } from "node:fs";
const word = new Int32Array(new SharedArrayBuffer(4));

function wait() { // LINE wait
  writeSync(1, "waits\n");
  Atomics.wait(word, 0, 0);
}

class Shape {
  area() { return wait() ?? 1; } // LINE area
  static of() { return new Shape().area(); } // LINE of
  get size() { return Shape.of(); } // LINE get size
}

const arrow = () => new Shape().size + 1; // LINE arrow
const holder = {};
holder.member = function () { return arrow() + 1; }; // LINE holder.member
const closed = (n) => function () { return holder.member() + n; }; // LINE (anonymous)
const inner = closed(1);
function ünïcode_名前() { return inner() + 1; } // LINE ünïcode_名前
globalThis.called = ünïcode_名前;
const evaluated = (0, eval)("(function evaluated() { return called() + 1; })");
const made = new Function("f", "return f() + 1");
async function waited() { return made(evaluated) + 1; } // LINE waited
function* yielded() { yield waited(); } // LINE yielded
function many(a, b, c, d) { // LINE many
  const keep = () => [a, b, c, d];
  [1].map(function each() { return [...yielded()]; }); // LINE each
  return keep;
}
many(1, 2, 3, 4);
