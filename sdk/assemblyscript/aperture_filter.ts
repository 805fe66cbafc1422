/** Write a filter for Aperture in AssemblyScript: which events of a profiler are kept, dropped, sampled or tagged.
 *
 *     import { batch, settings, HEADER_IS_WRONG } from "./aperture_filter";
 *     export { ap_abi_version, ap_alloc } from "./aperture_filter";
 *
 *     export function ap_on_batch(header: usize): i32 {
 *       if (!batch.open(header)) return HEADER_IS_WRONG;
 *       for (let i: u32 = 0; i < batch.n_events; i++) {
 *         if (batch.event(i).duration_ns < 1_000_000) batch.drop(i);
 *       }
 *       return 0;
 *     }
 *
 *     asc filter.ts --outFile filter.wasm --runtime stub -O3
 *
 * The runtime `stub` never frees: nothing here makes an object for a batch or an event, and neither should a filter.
 * What a header says is checked once for each batch; after that a number that no row has gives an empty row. */

export const MAGIC: u32 = 0x31425041; // "APB1"
export const MAJOR: i32 = 1;
export const MINOR: i32 = 0;

export const LOST_EVENTS: u32 = 1; // flags of a header
export const FIRST_BATCH: u32 = 2;

/** What ap_on_batch returns for a header that is not as it should be. */
export const HEADER_IS_WRONG: i32 = 2;

/** What an event means. */
export namespace Kind {
  export const CPU: u16 = 1;
  export const OFFCPU: u16 = 2;
  export const SYSCALL: u16 = 3;
  export const LOCK: u16 = 4;
  export const GPU_KERNEL: u16 = 5;
  export const GPU_COPY: u16 = 6;
  export const GPU_CALL: u16 = 7;
}

/** What sort of code a frame is. */
export namespace FrameKind {
  export const ROOT: u32 = 0;
  export const PROCESS: u32 = 1;
  export const KERNEL: u32 = 2;
  export const NATIVE: u32 = 3;
  export const JIT: u32 = 4;
  export const PYTHON: u32 = 5;
  export const RUNTIME: u32 = 6;
  export const GPU: u32 = 7;
  export const UNKNOWN: u32 = 8;
  export const THREAD: u32 = 9;
  export const LOCK: u32 = 10;
  export const TAG: u32 = 11;
}

export const ROLE_SHIFT: u16 = 12;

/** Whose part of a wait or a call an event tells: `(event.flags >> ROLE_SHIFT) & 3`. An event in flight goes on: its
 * duration is its age, and it is told again every second. */
export namespace Role {
  export const OWN: u16 = 0;
  export const IN_FLIGHT: u16 = 1;
  export const WAKER: u16 = 2;
  export const HOLDER: u16 = 3;
}

// ---- What lies in the arena: views, not copies. Offsets count from the header's first byte.

@unmanaged
export class Header {
  magic: u32;
  major: u16;
  minor: u16;
  header_size: u32;
  event_size: u32;
  n_events: u32;
  events: u32;
  verdicts: u32;
  tags: u32;
  generation: u32; // when it changes, all tables begin anew
  flags: u32;
  now_ns: u64; // Unix: when the batch was drained
  sequence: u64;
  unused: u64;
  n_strings: u32;
  strings: u32;
  n_frames: u32;
  frames: u32;
  n_stacks: u32;
  stacks: u32;
  n_processes: u32;
  processes: u32;
  redacted: u32;
}

export const HEADER_SIZE: u32 = 128; // the rest of it is 0

@unmanaged
export class Event {
  time_ns: u64; // Unix; of an aggregate: the end of its interval
  duration_ns: u64; // the sum over weight; of a CPU sample: the sampling period
  maximum_ns: u64; // the longest of them
  value: u64; // a lock's address, bytes of a copy
  pid: u32;
  tid: u32;
  process: u32; // row; 0 is unknown
  thread: u32; // string: the thread's name
  name: u32; // string: system call, kind of lock, GPU kernel, direction of a copy
  stack: u32; // node; 0 is no stack
  weight: u32; // how many this stands for
  aux: u32; // error number; of a GPU its device << 24 | its stream
  kind: u16;
  flags: u16;
  cpu: u16; // CPU; of a GPU which call it comes from
  tags: u16; // those that filters before this one gave it
}

@unmanaged
export class Slice {
  offset: u32;
  length: u32;
}

@unmanaged
export class Frame {
  function: u32; // string
  module: u32; // string
  file: u32; // string
  line: u32; // 0 is unknown
  kind: u32;
}

/** A node of the trie of stacks: its own, innermost frame on top of the stack `parent`, whose number is smaller. */
@unmanaged
export class Node {
  parent: u32;
  frame: u32;
}

@unmanaged
export class Process {
  start_ns: u64; // Unix
  pid: u32;
  name: u32; // string
  cgroup: u32; // string
  container: u32; // string
}

// ---- Memory and the log

const REGIONS: i32 = 8;
const regions = new StaticArray<usize>(2 * REGIONS); // address and bytes of what the host was given
let regionCount: i32 = 0;

export function ap_abi_version(): i32 {
  return (MAJOR << 16) | MINOR;
}

/** Memory for the host. It is the allocator's: memory that is grown beside it would be given out a second time. */
export function ap_alloc(size: u32): usize {
  if (regionCount == REGIONS || size > 0x7fff_0000) return 0;
  const at = (heap.alloc(size + 63) + 63) & ~63;
  regions[2 * regionCount] = at;
  regions[2 * regionCount + 1] = size;
  regionCount++;
  return at;
}

/** How many bytes of a region of the host's lie at an address and behind it; 0 outside all of them. */
function regionAt(address: usize): usize {
  for (let i = 0; i < regionCount; i++) {
    const start = regions[2 * i];
    const size = regions[2 * i + 1];
    if (address >= start && address - start < size) return size - (address - start);
  }
  return 0;
}

export enum Level {
  Error,
  Warning,
  Info,
  Debug,
}

@external("aperture", "log")
declare function hostLog(level: i32, at: usize, length: i32): void;

/** A line for the profiler's log, of at most 1 KiB; the host shows 20 a second. */
export function log(level: Level, text: string): void {
  const length = String.UTF8.byteLength(text);
  const bytes = heap.alloc(length);
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, bytes);
  hostLog(level, bytes, length < 1024 ? length : 1024);
  heap.free(bytes);
}

// ---- Texts: UTF-8 bytes that somebody else keeps

export class Text {
  constructor(
    public at: usize,
    public length: u32,
  ) {}

  static of(text: string): Text {
    const length = String.UTF8.byteLength(text);
    const at = heap.alloc(length);
    String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, at);
    return new Text(at, length);
  }

  /** Whether these bytes are the same. */
  equals(at: usize, length: u32): bool {
    return length == this.length && memory.compare(at, this.at, length) == 0;
  }

  /** Whether this text occurs in those bytes. The empty one occurs everywhere. */
  isIn(at: usize, length: u32): bool {
    if (!this.length) return true;
    const first = load<u8>(this.at);
    for (; length >= this.length; at++, length--) {
      if (load<u8>(at) == first && memory.compare(at, this.at, this.length) == 0) return true;
    }
    return false;
  }
}

// ---- A batch

const nothing = memory.data(32, 8); // a row of zeros, of any table

function overlap(one: u64, oneBytes: u64, other: u64, otherBytes: u64): bool {
  return oneBytes != 0 && otherBytes != 0 && one < other + otherBytes && other < one + oneBytes;
}

export class Batch {
  header: Header = changetype<Header>(nothing);
  start: usize = 0;
  bytes: u32 = 0;
  n_events: u32 = 0;
  n_strings: u32 = 0;
  n_frames: u32 = 0;
  n_stacks: u32 = 0;
  n_processes: u32 = 0;
  private events: usize = 0;
  private strings: usize = 0;
  private frames: usize = 0;
  private stacks: usize = 0;
  private processes: usize = 0;
  private verdicts: usize = 0;
  private tags: usize = 0;
  private redacted: usize = 0;

  /** Take the batch that begins with this header. False: the header is wrong, and the log says what is. */
  open(header: usize): bool {
    const problem = this.check(header, regionAt(header));
    if (problem != null) {
      log(Level.Error, problem);
      this.n_events = this.n_strings = this.n_frames = this.n_stacks = this.n_processes = 0;
      return false;
    }
    const h = changetype<Header>(header);
    this.header = h;
    this.start = header;
    this.bytes = <u32>regionAt(header);
    this.n_events = h.n_events;
    this.n_strings = h.n_strings;
    this.n_frames = h.n_frames;
    this.n_stacks = h.n_stacks;
    this.n_processes = h.n_processes;
    this.events = header + h.events;
    this.strings = header + h.strings;
    this.frames = header + h.frames;
    this.stacks = header + h.stacks;
    this.processes = header + h.processes;
    this.verdicts = header + h.verdicts;
    this.tags = header + h.tags;
    this.redacted = header + h.redacted;
    return true;
  }

  private check(header: usize, bytes: usize): string | null {
    if (bytes < HEADER_SIZE || header & 7) return "the header is not in the arena";
    const h = changetype<Header>(header);
    if (h.magic != MAGIC || <i32>h.major != MAJOR) return "the header is not one of this version";
    if (h.header_size != HEADER_SIZE || h.event_size != offsetof<Event>()) {
      return "the header's sizes are not those of this version";
    }
    this.bytes = <u32>bytes;
    const right =
      this.fits(h.events, h.n_events, offsetof<Event>(), 8) &&
      this.fits(h.strings, h.n_strings, offsetof<Slice>(), 4) &&
      this.fits(h.frames, h.n_frames, offsetof<Frame>(), 4) &&
      this.fits(h.stacks, h.n_stacks, offsetof<Node>(), 4) &&
      this.fits(h.processes, h.n_processes, offsetof<Process>(), 8) &&
      this.fits(h.verdicts, h.n_events, 4, 4) &&
      this.fits(h.tags, h.n_events, 4, 4) &&
      this.fits(h.redacted, h.n_frames, 1, 1);
    if (!right) return "a table is not in the arena, or not at its natural boundary";
    const written = <u64>h.n_events * 4;
    const apart =
      this.isApart(h, h.verdicts, written) &&
      this.isApart(h, h.tags, written) &&
      this.isApart(h, h.redacted, h.n_frames) &&
      !overlap(h.verdicts, written, h.tags, written) &&
      !overlap(h.verdicts, written, h.redacted, h.n_frames) &&
      !overlap(h.tags, written, h.redacted, h.n_frames);
    return apart ? null : "what the filter writes overlaps what it reads";
  }

  private fits(offset: u32, n: u32, size: u32, boundary: u32): bool {
    return <u64>offset + <u64>n * size <= <u64>this.bytes && (n == 0 || offset % boundary == 0);
  }

  private isApart(h: Header, offset: u32, bytes: u64): bool {
    return !(
      overlap(offset, bytes, 0, HEADER_SIZE) ||
      overlap(offset, bytes, h.events, <u64>h.n_events * offsetof<Event>()) ||
      overlap(offset, bytes, h.strings, <u64>h.n_strings * offsetof<Slice>()) ||
      overlap(offset, bytes, h.frames, <u64>h.n_frames * offsetof<Frame>()) ||
      overlap(offset, bytes, h.stacks, <u64>h.n_stacks * offsetof<Node>()) ||
      overlap(offset, bytes, h.processes, <u64>h.n_processes * offsetof<Process>())
    );
  }

  @inline
  event(i: u32): Event {
    return changetype<Event>(i < this.n_events ? this.events + <usize>i * offsetof<Event>() : emptyEvent);
  }

  @inline
  frame(i: u32): Frame {
    return changetype<Frame>(i < this.n_frames ? this.frames + <usize>i * offsetof<Frame>() : nothing);
  }

  @inline
  process(i: u32): Process {
    return changetype<Process>(i < this.n_processes ? this.processes + <usize>i * offsetof<Process>() : nothing);
  }

  @inline
  private node(i: u32): Node {
    return changetype<Node>(i < this.n_stacks ? this.stacks + <usize>i * offsetof<Node>() : nothing);
  }

  /** The stack that called; 0 is the root. From the innermost frame outwards:
   * `for (let n = event.stack; n; n = batch.parent(n)) batch.frameOf(n)`. */
  @inline
  parent(node: u32): u32 {
    const parent = this.node(node).parent;
    return parent < node ? parent : 0; // a trie that says otherwise would go round for ever
  }

  /** The innermost frame of a stack. */
  @inline
  frameOf(node: u32): Frame {
    return this.frame(node < this.n_stacks ? this.node(node).frame : u32.MAX_VALUE);
  }

  /** How many bytes a string has; 0 if there is none of that number, or if it lies outside of the arena. */
  stringLength(id: u32): u32 {
    if (id >= this.n_strings) return 0;
    const slice = changetype<Slice>(this.strings + <usize>id * offsetof<Slice>());
    return <u64>slice.offset + <u64>slice.length <= <u64>this.bytes ? slice.length : 0;
  }

  /** Where its UTF-8 bytes begin. */
  stringAt(id: u32): usize {
    if (!this.stringLength(id)) return nothing;
    return this.start + changetype<Slice>(this.strings + <usize>id * offsetof<Slice>()).offset;
  }

  /** Whether a text occurs in a string. */
  contains(id: u32, text: Text): bool {
    return text.isIn(this.stringAt(id), this.stringLength(id));
  }

  @inline
  keep(event: u32): void {
    this.sample(event, 1);
  }

  @inline
  drop(event: u32): void {
    this.sample(event, 0);
  }

  /** Keep it, and let it stand for `n` like it: its weight and its duration are multiplied. 0 drops it. */
  @inline
  sample(event: u32, n: u16): void {
    if (event < this.n_events) store<u32>(this.verdicts + ((<usize>event) << 2), n);
  }

  /** Give it the tag of this position among the names of ap_tags, 0 to 15. */
  tag(event: u32, position: u32): void {
    if (event >= this.n_events || position > 15) return;
    const at = this.tags + ((<usize>event) << 2);
    store<u32>(at, load<u32>(at) | (1 << position));
  }

  /** Hide the names of a frame, for good: it is read for frames that are new in this batch alone. */
  hide(frame: u32): void {
    if (frame < this.n_frames) store<u8>(this.redacted + frame, 1);
  }
}

const emptyEvent = memory.data(72, 8);

/** The batch of this call. */
export const batch = new Batch();

// ---- What was answered already

/** How far a table that only grows has been read. */
export class Watermark {
  private generation: u32 = 0;
  private started: bool = false;
  private seen: u32 = 0;

  /** Whether the tables of the batch are those of the last time. */
  @inline
  isCurrent(): bool {
    return this.started && this.generation == batch.header.generation;
  }

  /** The first row that is new of `rows`: 0, all of them, when a generation begins. */
  advance(rows: u32): u32 {
    if (!this.isCurrent() || rows < this.seen) {
      this.started = true;
      this.generation = batch.header.generation;
      this.seen = 0;
    }
    const first = this.seen;
    this.seen = rows;
    return first;
  }
}

export enum Answer {
  Unknown,
  No,
  Yes,
}

/** Answers by number of a row, of one generation. */
export class Memo {
  private mark: Watermark = new Watermark();
  private answers: usize = 0;
  private length: u32 = 0;
  private capacity: u32 = 0;

  /** What was answered, or Answer.Unknown: then ask, and say it with `answer`. */
  @inline
  answered(row: u32): Answer {
    if (this.mark.isCurrent() && row < this.length) return <Answer>load<u8>(this.answers + row);
    return Answer.Unknown;
  }

  /** Remember an answer, of a table of `rows` rows, and return it. */
  answer(row: u32, rows: u32, yes: bool): bool {
    if (!this.mark.isCurrent()) {
      this.mark.advance(rows);
      this.length = 0;
    }
    if (row >= rows) return yes;
    this.lengthen(rows);
    store<u8>(this.answers + row, yes ? Answer.Yes : Answer.No);
    return yes;
  }

  private lengthen(rows: u32): void {
    if (rows <= this.length) return;
    if (rows > this.capacity) {
      const capacity = 2 * rows;
      const answers = heap.alloc(capacity);
      memory.copy(answers, this.answers, this.length);
      this.answers = answers;
      this.capacity = capacity;
    }
    memory.fill(this.answers + this.length, 0, rows - this.length);
    this.length = rows;
  }
}

// ---- Settings: one flat JSON object of texts, whole numbers and booleans

enum Type {
  Text,
  Integer,
  Boolean,
}

class Setting {
  key: Text = new Text(0, 0);
  type: Type = Type.Text;
  text: Text = new Text(0, 0);
  integer: i64 = 0;
  asked: bool = false;
}

export class Settings {
  private settings: Array<Setting> = [];
  private at: usize = 0;
  private end: usize = 0;
  private kept: usize = 0; // texts are written over what was read: they are never longer than they were
  private refused: bool = false;

  /** Take the configuration the host gave, which is overwritten. */
  read(json: usize, length: usize): bool {
    if (length > regionAt(json)) return this.refuse("", "is not in a region of ap_alloc");
    this.settings = [];
    this.refused = false;
    this.at = this.kept = json;
    this.end = json + length;
    return this.object() || this.refuse("", "is no flat JSON object of texts, whole numbers and booleans");
  }

  /** Say what is wrong with a setting. Returns false. */
  refuse(key: string, problem: string): bool {
    if (!this.refused) log(Level.Error, "configuration refused: " + key + " " + problem);
    this.refused = true;
    return false;
  }

  /** What ap_configure returns. A setting that nobody asked for is refused. */
  result(): i32 {
    for (let i = 0; i < this.settings.length; i++) {
      const key = this.settings[i].key;
      if (!this.settings[i].asked) {
        this.refuse(String.UTF8.decodeUnsafe(key.at, key.length), "is no setting of this filter");
      }
    }
    return this.refused ? 1 : 0;
  }

  /** A text; empty if it was not given. */
  text(key: string): Text {
    const setting = this.find(key, Type.Text, "must be a text");
    return setting == null ? new Text(nothing, 0) : setting.text;
  }

  /** A whole number from `least` to `most`. */
  integer(key: string, otherwise: i64, least: i64, most: i64): i64 {
    const setting = this.find(key, Type.Integer, "must be a whole number");
    if (setting == null) return otherwise;
    if (setting.integer < least || setting.integer > most) this.refuse(key, "is out of its range");
    return setting.integer;
  }

  boolean(key: string, otherwise: bool): bool {
    const setting = this.find(key, Type.Boolean, "must be true or false");
    return setting == null ? otherwise : setting.integer != 0;
  }

  private find(key: string, type: Type, otherwise: string): Setting | null {
    const text = Text.of(key);
    for (let i = 0; i < this.settings.length; i++) {
      const setting = this.settings[i];
      if (!text.equals(setting.key.at, setting.key.length)) continue;
      setting.asked = true;
      if (setting.type == type) return setting;
      this.refuse(key, otherwise);
    }
    return null;
  }

  private peek(): u8 {
    while (this.at < this.end) {
      const c = load<u8>(this.at);
      if (c != 0x20 && c != 0x09 && c != 0x0a && c != 0x0d) return c;
      this.at++;
    }
    return 0;
  }

  private accept(what: u8): bool {
    if (this.peek() != what) return false;
    this.at++;
    return true;
  }

  private object(): bool {
    if (!this.accept(0x7b)) return false;
    while (!this.accept(0x7d)) {
      if (this.settings.length && !this.accept(0x2c)) return false;
      const setting = new Setting();
      if (!this.quoted(setting.key) || !this.accept(0x3a) || !this.value(setting)) return false;
      for (let i = 0; i < this.settings.length; i++) {
        const key = this.settings[i].key;
        if (setting.key.equals(key.at, key.length)) return false;
      }
      this.settings.push(setting);
    }
    this.peek();
    return this.at == this.end;
  }

  private value(setting: Setting): bool {
    const c = this.peek();
    if (c == 0x22) {
      setting.type = Type.Text;
      return this.quoted(setting.text);
    }
    if (c == 0x74 || c == 0x66) {
      setting.type = Type.Boolean;
      setting.integer = c == 0x74 ? 1 : 0;
      const word = Text.of(c == 0x74 ? "true" : "false");
      if (this.end - this.at < word.length || !word.equals(this.at, word.length)) return false;
      this.at += word.length;
      return true;
    }
    setting.type = Type.Integer;
    return this.number(setting);
  }

  private number(setting: Setting): bool {
    const negative = this.accept(0x2d);
    const first = this.at;
    let number: i64 = 0;
    for (; this.at < this.end; this.at++) {
      const digit = <i64>load<u8>(this.at) - 0x30;
      if (digit < 0 || digit > 9) break;
      if (negative ? number < (i64.MIN_VALUE + digit) / 10 : number > (i64.MAX_VALUE - digit) / 10) return false;
      number = number * 10 + (negative ? -digit : digit);
    }
    setting.integer = number;
    const digits = this.at - first;
    const next = this.at < this.end ? load<u8>(this.at) : 0;
    const whole = next != 0x2e && next != 0x65 && next != 0x45;
    return digits > 0 && (digits == 1 || load<u8>(first) != 0x30) && whole;
  }

  private keep(byte: u32): void {
    store<u8>(this.kept++, byte);
  }

  private quoted(text: Text): bool {
    if (!this.accept(0x22)) return false;
    text.at = this.kept;
    while (this.at < this.end) {
      const c = load<u8>(this.at++);
      if (c == 0x22) {
        text.length = <u32>(this.kept - text.at);
        return true;
      }
      if (c < 0x20 || (c == 0x5c && !this.escape())) return false;
      if (c != 0x5c) this.keep(c);
    }
    return false;
  }

  private escape(): bool {
    if (this.at == this.end) return false;
    switch (load<u8>(this.at++)) {
      case 0x22: this.keep(0x22); return true;
      case 0x5c: this.keep(0x5c); return true;
      case 0x2f: this.keep(0x2f); return true;
      case 0x62: this.keep(0x08); return true;
      case 0x66: this.keep(0x0c); return true;
      case 0x6e: this.keep(0x0a); return true;
      case 0x72: this.keep(0x0d); return true;
      case 0x74: this.keep(0x09); return true;
      case 0x75: return this.unicode();
      default: return false;
    }
  }

  /** Four hexadecimal digits; -1 if they are none. */
  private hex(): i32 {
    if (this.end - this.at < 4) return -1;
    let code = 0;
    for (let i = 0; i < 4; i++) {
      const c = load<u8>(this.at++);
      const lower = c | 0x20;
      if (c >= 0x30 && c <= 0x39) code = (code << 4) | (c - 0x30);
      else if (lower >= 0x61 && lower <= 0x66) code = (code << 4) | (lower - 0x57);
      else return -1;
    }
    return code;
  }

  private unicode(): bool {
    let code = this.hex();
    if (code <= 0 || (code >= 0xdc00 && code < 0xe000)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      if (this.end - this.at < 6 || load<u16>(this.at) != 0x755c) return false;
      this.at += 2;
      const low = this.hex();
      if (low < 0xdc00 || low >= 0xe000) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    let more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    const lead = more == 0 ? 0 : more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0;
    this.keep(lead | (code >> (6 * more)));
    while (more--) this.keep(0x80 | ((code >> (6 * more)) & 0x3f));
    return true;
  }
}

/** The settings of this filter, after `settings.read` in ap_configure. */
export const settings = new Settings();
