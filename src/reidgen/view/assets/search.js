// Who is like a crop, or like a picture from elsewhere: a ranked list for each network, side by side.

import {crops, go, value} from "./crops.js";
import {picture, thumbnails} from "./grid.js";
import {element, post, telling, toast} from "./http.js";
import * as person from "./person.js";

const SHOWN = 40, AGAIN_MS = 1500, MAPPED = 12;
const place = document.getElementById("search");
let networks = [];
let query = null; // {row}, or {picture, address}
let answers = [];
let otherCameras = false;
let maps = false;
let open = () => {};

export function ready(names, show) {
  networks = names;
  open = show;
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) ofFile(event.dataTransfer.files[0]);
  });
  draw();
}

export const ofCrop = (row) => { if (row >= 0) ask({row}); };

function ofFile(file) {
  telling(async () => {
    if (!networks.length) return ask(null);
    const {picture: key} = await post("/upload", file);
    return ask({picture: key, address: URL.createObjectURL(file)});
  });
}

function ask(asked) {
  open();
  if (!networks.length) return toast("A search needs a network: reidgen view ... --model RUN (one or two, as train-reid writes them)");
  query = asked;
  answers = networks.map(() => null);
  draw();
  networks.forEach((_, index) => telling(() => rank(index, asked)));
  return null;
}

async function rank(index, asked) {
  for (;;) {
    const {address, ...plain} = asked;
    const found = await post("/search", {network: index, ...plain});
    if (query !== asked) return;
    if (!found.waiting) {
      await thumbnails(found.rows);
      answers[index] = found;
      draw();
      return;
    }
    await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
  }
}

const known = () => query?.row !== undefined;
const samePlace = (row) => known() && ["pid", "camid", "table"].every((name) => value(name, row) === value(name, query.row));
const right = (row) => {
  if (!known() || value("pid", query.row) <= 0 || value("table", row) !== value("table", query.row)) return null;
  return value("pid", row) === value("pid", query.row);
};

function draw() {
  const input = element("input", {type: "file", accept: "image/*", ariaLabel: "A picture", onchange: () => input.files[0] && ofFile(input.files[0])});
  const head = element("div", {className: "asked"},
    query && element("img", {src: known() ? `/picture/${query.row}` : query.address, alt: "what is searched"}),
    element("div", {},
      element("h2", {}, query ? (known() ? `Like this crop of person ${value("pid", query.row)}, camera ${value("camid", query.row)}` : "Like this picture") : "Search"),
      element("p", {className: "soft"}, "F searches for the chosen crop. Or drop a picture here, or choose a file:"), input,
      element("p", {},
        box("leave out the person's crops by the same camera", otherCameras, (on) => { otherCameras = on; }), " ",
        box("where the network looks", maps, (on) => { maps = on; }))));
  place.replaceChildren(head, element("div", {className: "lists"}, query ? networks.map(list) : []));
}

function box(text, on, act) {
  const input = element("input", {type: "checkbox", checked: on, onchange: () => { act(input.checked); draw(); }});
  return element("label", {}, input, ` ${text}`);
}

function list(name, index) {
  const found = answers[index];
  const title = element("h3", {title: name}, name.split("/").filter(Boolean).slice(-2).join("/"));
  if (!found) return element("div", {className: "list"}, title, element("p", {className: "soft"}, "The network looks at all crops, once. The terminal shows how far it is."));
  const places = found.rows.map((row, rank) => [row, found.distances[rank]]).filter(([row]) => !(otherCameras && samePlace(row))).slice(0, SHOWN);
  const cells = places.map(([row, distance], rank) => {
    const verdict = right(row);
    const edge = verdict === null ? "" : verdict ? " right" : " wrong";
    return element("figure", {className: `small${edge}`, "data-row": row, title: `person ${value("pid", row)}, camera ${value("camid", row)}`, onclick: () => to(row)},
      picture(row, 96), element("figcaption", {}, `${rank + 1}. ${distance.toPrecision(3)}`));
  });
  if (maps) telling(() => overlay(index, cells, places));
  return element("div", {className: "list"}, title, element("small", {}, found.compared), element("div", {className: "cells"}, cells));
}

async function overlay(index, cells, places) {
  const {address, ...plain} = query;
  const rows = places.slice(0, MAPPED).map(([row]) => row);
  const drawn = await post("/maps", {network: index, rows, ...plain});
  drawn.slice(1).forEach((source, at) => cells[at].firstChild.replaceWith(element("img", {src: source, alt: "map", className: "map"})));
}

function to(row) {
  const at = crops.shown.indexOf(row);
  if (at >= 0) go(at);
  telling(() => person.show(row));
}
