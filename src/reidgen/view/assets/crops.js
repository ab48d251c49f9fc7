// The crops: their columns as typed arrays, which of them are shown, in which order, and which one is chosen.

import {get} from "./http.js";

export const crops = {
  count: 0,
  columns: {}, // name -> {values, words}
  scores: [],
  chosen: {}, // column -> set of values that are shown; nothing: all
  person: "", // as it is typed
  cuts: {}, // score column -> {at, show: "all" | "kept" | "rejected"}
  order: "table",
  shown: new Int32Array(0),
  at: -1, // place in `shown` of the chosen crop
};

const listeners = {shown: [], at: []};
export const when = (what, act) => listeners[what].push(act);
const tell = (what) => listeners[what].forEach((act) => act());

export async function load(about) {
  crops.count = about.crops;
  crops.scores = about.scores;
  await Promise.all(Object.entries(about.columns).map(async ([name, words]) => {
    const bytes = await get(`/column/${encodeURIComponent(name)}`, "arrayBuffer");
    const large = bytes.byteLength === 8 * crops.count && crops.count;
    const values = about.scores.includes(name) ? new Float32Array(bytes) : large ? new Float64Array(bytes) : new Int32Array(bytes);
    crops.columns[name] = {values, words};
  }));
}

export const value = (name, row) => crops.columns[name].values[row];
export const word = (name, row) => {
  const column = crops.columns[name];
  return column.words ? column.words[column.values[row]] : column.values[row];
};

// Says of a crop whether it is shown; one column may be left out of the question, as a facet counts.
export function passing(without = null) {
  const others = (all) => Object.entries(all).filter(([name]) => name !== without);
  const sets = others(crops.chosen).filter(([, set]) => set.size).map(([name, set]) => [crops.columns[name].values, set]);
  const cuts = others(crops.cuts).filter(([, cut]) => cut.show !== "all").map(([name, cut]) => [crops.columns[name].values, Math.fround(cut.at), cut.show === "rejected"]);
  const pids = crops.columns.pid.values, person = crops.person === "" ? null : Number(crops.person);
  return (row) => (person === null || pids[row] === person)
    && sets.every(([values, set]) => set.has(values[row]))
    && cuts.every(([values, at, rejected]) => (values[row] < at) === rejected);
}

export function choose() {
  const row = current(), rows = [], passes = passing();
  for (let one = 0; one < crops.count; one++) if (passes(one)) rows.push(one);
  if (crops.order !== "table") {
    const {values} = crops.columns[crops.order];
    const last = (number) => (Number.isNaN(number) ? Infinity : number);
    rows.sort((a, b) => last(values[a]) - last(values[b]) || a - b);
  }
  crops.shown = Int32Array.from(rows);
  crops.at = crops.shown.indexOf(row);
  tell("shown");
  tell("at");
}

export const current = () => (crops.at < 0 ? -1 : crops.shown[crops.at]);

export function go(at) {
  crops.at = Math.max(-1, Math.min(crops.shown.length - 1, at));
  tell("at");
}
