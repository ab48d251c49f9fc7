// The page: opens its parts, and gives each key its meaning.

import {choose, crops, current, go, load, value, when} from "./crops.js";
import * as grid from "./grid.js";
import {element, get, number, telling} from "./http.js";
import * as curves from "./curves.js";
import * as person from "./person.js";
import * as review from "./review.js";
import * as scores from "./scores.js";
import * as search from "./search.js";
import * as side from "./side.js";

const count = document.getElementById("count"), order = document.getElementById("order");
const ORDERS = {table: "as in the table", pid: "by person", camid: "by camera"};

async function open() {
  const about = await get("/about");
  await load(about);
  await review.open(about.reviewer, () => { grid.restyle(); side.count(); keys(); });
  side.open();
  scores.open();
  search.ready(about.networks, () => tab("search"));
  curves.ready(about.runs);
  grid.open(review.mark);
  when("at", person.follow);
  when("shown", () => { count.textContent = `${number(crops.shown.length)} of ${number(crops.count)} crops`; });
  for (const name of [...Object.keys(ORDERS), ...crops.scores]) {
    order.append(element("option", {value: name}, ORDERS[name] ?? `by ${name.replace("score_", "score ")}`));
  }
  order.addEventListener("change", () => { crops.order = order.value; choose(); });
  document.getElementById("size").addEventListener("input", (event) => grid.resize(Number(event.target.value)));
  document.addEventListener("keydown", pressed);
  document.getElementById("grid").addEventListener("dblclick", () => act.Enter());
  choose();
  keys();
  const tabs = {grid: about.crops && "Crops", search: about.crops && "Search", runs: about.runs.length && "Trainings"};
  for (const [name, title] of Object.entries(tabs)) {
    if (title) document.getElementById("tabs").append(element("button", {id: `tab-${name}`, role: "tab", onclick: () => tab(name)}, title));
  }
  tab(about.crops ? "grid" : "runs");
}

// Show one of grid, search and runs.
function tab(name) {
  for (const one of ["grid", "search", "runs"]) {
    document.getElementById(one).hidden = one !== name;
    document.getElementById(`tab-${one}`)?.setAttribute("aria-selected", one === name);
  }
  document.getElementById("side").hidden = name !== "grid";
  document.body.classList.toggle("wide", name !== "grid");
  if (name === "grid") grid.redraw();
  if (name === "runs") telling(curves.show);
}

const act = {
  Enter: () => telling(() => person.show(current())),
  Escape: () => (review.review.merging >= 0 ? review.stopMerging() : person.isOpen() ? person.close() : tab("grid")),
  "/": () => document.getElementById("person").focus(),
  f: () => search.ofCrop(current()),
  k: () => review.judge("keep"),
  r: () => review.judge("reject"),
  w: () => review.judge("wrong person"),
  m: review.merge,
  z: review.undo,
  s: review.write,
};
const LOOK = {"← ↑ → ↓": "choose", Enter: "person", Esc: "close", F: "who is alike", "/": "find a person"};
const DECIDE = {K: "keep", R: "reject", W: "wrong person", M: "merge two people", Z: "undo", S: "write the table"};

function keys() {
  const {who, merging} = review.review;
  const all = {...LOOK, ...(who === null ? {} : DECIDE)};
  const told = Object.entries(all).map(([key, what]) => element("span", {}, element("kbd", {}, key), what));
  const note = merging >= 0 ? `Person ${value("pid", merging)} and who else? M on a crop of the other one; Esc: nobody` : who && `decided by ${who}`;
  document.getElementById("keys").replaceChildren(...told, ...(note ? [element("strong", {}, note)] : []));
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key in act && crops.count) {
    event.preventDefault();
    act[event.key]();
    return;
  }
  const {columns} = grid.layout();
  const moves = {
    ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns,
    PageDown: 4 * columns, PageUp: -4 * columns, Home: -crops.shown.length, End: crops.shown.length,
  };
  if (!(event.key in moves)) return;
  event.preventDefault();
  go(Math.max(0, crops.at + moves[event.key]));
}

telling(open);
