// Sliders over the scores of filters: what a threshold would keep and reject, of generated crops and of the others.

import {choose, crops} from "./crops.js";
import {element, number} from "./http.js";

const BINS = 48, STEPS = 1000, HEIGHT = 44;
const side = document.getElementById("side");

export function open() {
  for (const name of crops.scores) slider(name);
}

function slider(name) {
  const {values} = crops.columns[name];
  const groups = split(values);
  const all = [...groups.generated, ...groups.others];
  if (!all.length) return;
  const low = all.reduce((a, b) => Math.min(a, b)), high = all.reduce((a, b) => Math.max(a, b));
  const filter = name.replace("score_", "");
  const cut = (crops.cuts[name] = {at: applied(filter, values) ?? low, show: "all"});
  const picture = element("canvas", {width: 2 * BINS * 4, height: 2 * HEIGHT, className: "histogram", ariaLabel: `Scores of ${filter}`});
  const told = element("table", {className: "told"}), option = element("code");
  const range = element("input", {type: "range", min: 0, max: STEPS, ariaLabel: `Threshold of ${filter}`, oninput: () => set(low + (high - low) * range.value / STEPS)});
  const exact = element("input", {type: "number", step: "any", ariaLabel: `Exact threshold of ${filter}`, onchange: () => set(Number(exact.value))});
  const show = element("select", {ariaLabel: `Crops by ${filter}`, onchange: () => { cut.show = show.value; choose(); }},
    ["all", "kept", "rejected"].map((one) => element("option", {value: one}, one === "all" ? "show all" : `show ${one}`)));
  const heads = element("tr", {}, ["", "kept", "rejected"].map((title) => element("th", {}, title)));
  function set(at) {
    cut.at = at;
    range.value = STEPS * (at - low) / (high - low || 1);
    exact.value = Number(at.toPrecision(4));
    told.replaceChildren(heads, ...line("generated", groups.generated, at), ...line("others", groups.others, at));
    option.textContent = `--${filter}-threshold ${Number(at.toPrecision(4))}`;
    draw(picture, groups, low, high, at);
    if (cut.show !== "all") choose();
  }
  set(cut.at);
  side.append(element("h3", {}, `Score: ${filter}`), picture, range, element("div", {className: "cut"}, exact, show), told, option);
}

// Sorted scores of generated crops, and of real and rendered ones.
function split(values) {
  const {values: origins, words} = crops.columns.origin;
  const generated = [], others = [];
  values.forEach((score, row) => {
    if (!Number.isNaN(score)) (words[origins[row]] === "generated" ? generated : others).push(score);
  });
  return {generated: Float32Array.from(generated).sort(), others: Float32Array.from(others).sort()};
}

// Where the filter itself has cut: the least score that it kept above all that it rejected; none if it rejected none.
function applied(filter, values) {
  const {values: codes, words} = crops.columns.filters;
  const rejects = words.map((word) => word.split(",").includes(filter));
  let rejected = -Infinity, kept = Infinity;
  values.forEach((score, row) => { if (rejects[codes[row]]) rejected = Math.max(rejected, score); });
  values.forEach((score) => { if (score > rejected) kept = Math.min(kept, score); });
  return Number.isFinite(rejected) && Number.isFinite(kept) ? kept : null;
}

// How many of sorted scores are below a threshold.
export function below(sorted, at) {
  let first = 0, last = sorted.length;
  while (first < last) {
    const middle = (first + last) >> 1;
    if (sorted[middle] < at) first = middle + 1;
    else last = middle;
  }
  return first;
}

function line(title, sorted, at) {
  if (!sorted.length) return [];
  const rejected = below(sorted, Math.fround(at));
  const share = (100 * rejected / sorted.length).toFixed(1);
  return [element("tr", {}, element("td", {className: title}, title), element("td", {}, number(sorted.length - rejected)), element("td", {}, `${number(rejected)} (${share} %)`))];
}

function draw(picture, groups, low, high, at) {
  const pen = picture.getContext("2d"), {width, height} = picture, style = getComputedStyle(document.documentElement);
  pen.clearRect(0, 0, width, height);
  for (const [name, colour, alpha] of [["others", "--base", 0.55], ["generated", "--more", 0.55]]) {
    const sorted = groups[name], counts = new Float64Array(BINS);
    for (const score of sorted) counts[Math.min(BINS - 1, Math.floor(BINS * (score - low) / (high - low || 1)))] += 1 / sorted.length;
    const most = counts.reduce((a, b) => Math.max(a, b), 1e-9);
    pen.fillStyle = style.getPropertyValue(colour);
    pen.globalAlpha = alpha;
    counts.forEach((count, bin) => pen.fillRect(bin * width / BINS, height - height * count / most, width / BINS - 1, height * count / most));
  }
  pen.globalAlpha = 1;
  pen.fillStyle = style.getPropertyValue("--ink");
  pen.fillRect(Math.round((width - 2) * (at - low) / (high - low || 1)), 0, 2, height);
}
