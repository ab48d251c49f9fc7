// Decisions: sent one by one, taken from the server's journal, those of other windows too.

import {crops, current, go, value} from "./crops.js";
import {get, post, telling, toast} from "./http.js";

const POLL_MS = 2000;
const SHOWN = {keep: ["good", "keep"], reject: ["bad", "reject"], "wrong person": ["bad", "wrong"]};
export const WORDS = ["undecided", "keep", "reject", "wrong person"];
export const review = {who: null, entries: [], merging: -1};
let changed = () => {};

export async function open(who, act) {
  review.who = who;
  changed = act;
  crops.columns.verdict = {values: new Int32Array(crops.count), words: WORDS};
  if (who === null) return;
  await refresh();
  setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, POLL_MS);
}

export async function refresh() {
  const since = review.entries.length;
  const more = await get(`/decisions?since=${since}`);
  if (!more.length || review.entries.length !== since) return; // a second answer to the same question
  review.entries.push(...more);
  const {values} = crops.columns.verdict;
  values.fill(0);
  for (const one of standing()) if (one.verdict !== "merge" && one.row >= 0) values[one.row] = WORDS.indexOf(one.verdict);
  changed();
}

const standing = () => {
  const undone = new Set(review.entries.map((one) => one.undoes));
  return review.entries.filter((one) => one.verdict !== "undo" && !undone.has(one.number));
};

// Of a crop: class and text of the mark on it.
export function mark(row) {
  if (row === review.merging) return ["other", "merge"];
  const said = SHOWN[WORDS[value("verdict", row)]];
  if (said) return said;
  for (const one of standing()) {
    if (one.verdict !== "merge") continue;
    for (const [a, b] of [[one.row, one.other_row], [one.other_row, one.row]]) {
      const same = a >= 0 && b >= 0 && ["pid", "table"].every((name) => value(name, a) === value(name, row));
      if (same) return ["other", `= ${value("pid", b)}`];
    }
  }
  return null;
}

// Who decided on a crop, and when.
export const history = (row) => review.entries
  .filter((one) => one.row === row || one.other_row === row)
  .map((one) => `${one.verdict}${standing().includes(one) ? "" : " (taken back)"}, ${one.who}, ${one.when.replace("T", " ").slice(0, 16)}`);

async function decide(decision) {
  if (review.who === null) {
    toast("Decisions need a place to go: reidgen view ... --out DIR");
    return false;
  }
  try {
    await post("/decide", {...decision, seen: review.entries.length});
    return true;
  } catch (error) {
    toast(error.message);
    return false;
  } finally {
    await telling(refresh);
  }
}

export async function judge(verdict) {
  const row = current(), at = crops.at;
  if (row < 0) return toast("Choose a crop first, by a click or the arrow keys.");
  if (await decide({verdict, row}) && crops.at === at && current() === row) go(at + 1);
  return null;
}

export async function merge() {
  const row = current();
  if (row < 0) return;
  if (review.merging < 0) {
    review.merging = row;
  } else {
    const other = review.merging;
    review.merging = -1;
    if (other !== row) await decide({verdict: "merge", row: other, other: row});
  }
  changed();
}

export function stopMerging() {
  review.merging = -1;
  changed();
}

export async function undo() {
  const last = standing().filter((one) => one.who === review.who).pop();
  if (!last) return toast("There is nothing of yours to take back.");
  if (await decide({verdict: "undo", undoes: last.number})) toast(`Taken back: ${last.verdict}.`);
  return null;
}

export const write = () => telling(async () => {
  const {folders} = await post("/write");
  toast(`Written: ${folders.join(", ")}`);
});
