// Keeps the events of processes whose name has a text in it, or drops them.
//
// Settings: `name`, the text; `drop`, true to drop what is named and to keep the rest.

import { Answer, batch, HEADER_IS_WRONG, Memo, settings, Text } from "../aperture_filter";
export { ap_abi_version, ap_alloc } from "../aperture_filter";

let wanted = Text.of("");
let drops = false;
const named = new Memo();

export function ap_configure(json: usize, length: usize): i32 {
  if (settings.read(json, length)) {
    wanted = settings.text("name");
    drops = settings.boolean("drop", false);
    if (!wanted.length) settings.refuse("name", "is needed");
  }
  return settings.result();
}

function isNamed(row: u32): bool {
  const answer = named.answered(row);
  if (answer != Answer.Unknown) return answer == Answer.Yes;
  return named.answer(row, batch.n_processes, batch.contains(batch.process(row).name, wanted));
}

export function ap_on_batch(header: usize): i32 {
  if (!batch.open(header)) return HEADER_IS_WRONG;
  for (let i: u32 = 0; i < batch.n_events; i++) {
    if (isNamed(batch.event(i).process) == drops) batch.drop(i);
  }
  return 0;
}
