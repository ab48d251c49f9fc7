// The side: which crops are shown. Each choice has the count of crops that it would leave beside the other choices.

import {choose, crops, passing, when} from "./crops.js";
import {element, number} from "./http.js";
import {review} from "./review.js";

const TITLES = {
  table: "Table", split: "Split", origin: "Origin", made: "Made as", filters: "Filters", verdict: "Review", camid: "Camera",
};
const LONG = 8;
const side = document.getElementById("side");
const boxes = []; // [column, code, input, count]

export function open() {
  const person = element("input", {
    type: "search", inputMode: "numeric", placeholder: "number", ariaLabel: "Person", id: "person",
    oninput: (event) => { crops.person = event.target.value.trim(); choose(); },
  });
  side.append(element("h3", {}, "Person"), person);
  for (const [name, title] of Object.entries(TITLES)) facet(name, title);
  when("shown", count);
}

function facet(name, title) {
  const {values, words} = crops.columns[name];
  const codes = name === "verdict" ? words.map((_, code) => code) : [...new Set(values)].sort((a, b) => a - b);
  if (codes.length < 2 || (name === "verdict" && review.who === null)) return;
  crops.chosen[name] = new Set();
  const lines = codes.map((code) => {
    const input = element("input", {type: "checkbox", onchange: (event) => {
      crops.chosen[name][event.target.checked ? "add" : "delete"](code);
      choose();
    }});
    const told = element("b");
    boxes.push([name, code, told]);
    return element("label", {}, input, element("span", {}, words ? words[code] : String(code)), told);
  });
  side.append(element("h3", {}, title), element("div", {className: `facet${codes.length > LONG ? " long" : ""}`}, lines));
}

export function count() {
  const found = {};
  for (const name of Object.keys(crops.chosen)) {
    const {values} = crops.columns[name], counts = (found[name] = new Map()), passes = passing(name);
    for (let row = 0; row < crops.count; row++) {
      if (passes(row)) counts.set(values[row], (counts.get(values[row]) ?? 0) + 1);
    }
  }
  for (const [name, code, told] of boxes) told.textContent = number(found[name].get(code) ?? 0);
}
