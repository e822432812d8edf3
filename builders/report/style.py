"""The style of the page, and its script. Both are in the page as they are here.

The colours are tints of Okabe's and Ito's palette, which people with any colour vision tell apart;
letters on them are black. No colour alone says anything.
"""

from typing import Final

STYLE: Final = """
:root { color-scheme: light; --line: #b9bec5; --soft: #f3f5f7; --dim: #565d66; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 16px 20px 48px; color: #15181c;
  background: #fff; font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0 0 4px; font-size: 24px; overflow-wrap: anywhere; }
h2 { margin: 32px 0 8px; font-size: 18px; break-after: avoid; }
p { margin: 6px 0; }
.dim { color: var(--dim); }
dl.facts { display: flex; flex-wrap: wrap; gap: 8px; margin: 12px 0; }
dl.facts div { flex: 1 1 120px; padding: 8px 12px; background: var(--soft); border-radius: 6px; }
dl.facts dt { color: var(--dim); font-size: 13px; }
dl.facts dd { margin: 0; font-size: 19px; font-weight: 600; }
.views { position: relative; }
.views > input { position: absolute; opacity: 0; }
.views > label { display: inline-block; margin: 0 6px 8px 0; padding: 5px 12px; cursor: pointer;
  border: 1px solid var(--line); border-radius: 6px; background: #fff; }
.views > input:checked + label { background: #15181c; color: #fff; }
.views > input:focus-visible + label { outline: 3px solid #0072b2; }
.view { display: none; }
#v-layers:checked ~ .view.layers, #v-packages:checked ~ .view.packages { display: block; }
svg.map { display: block; width: 100%; height: auto; font-family: system-ui, sans-serif; }
svg.narrow { display: none; }
svg rect { stroke: #fff; stroke-width: .7; fill: inherit; }
svg rect.g { stroke: #15181c; stroke-width: .8; }
svg rect.g.t { stroke-width: .25; }
.view h3 { display: none; }
svg text { fill: #15181c; pointer-events: none; }
svg text.m { text-anchor: middle; }
svg a:hover > rect, svg a:focus-visible > rect { stroke: #000; stroke-width: 2.5; }
.c0 { fill: #f6d28b; } .c1 { fill: #a9d8f5; } .c2 { fill: #8fd6bd; } .c3 { fill: #f4ec9c; }
.c4 { fill: #9cc3e6; } .c5 { fill: #f0b48c; } .c6 { fill: #e6bcd3; } .c7 { fill: #cfd4da; }
.s0 { fill: #eef4fa; } .s1 { fill: #cfe1f2; } .s2 { fill: #a6cbe8; } .s3 { fill: #79afdc; }
.s4 { fill: #56b4e9; }
.r { fill: #e9ebee; }
svg .out { opacity: .18; }
.legend i { display: inline-block; width: 22px; height: 14px; border: 1px solid var(--line);
  vertical-align: -2px; }
.legend .s0 { background: #eef4fa; } .legend .s1 { background: #cfe1f2; }
.legend .s2 { background: #a6cbe8; } .legend .s3 { background: #79afdc; }
.legend .s4 { background: #56b4e9; }
.tools { display: none; gap: 8px; margin: 8px 0; flex-wrap: wrap; }
.js .tools { display: flex; }
.tools input { flex: 1 1 220px; min-width: 0; padding: 7px 10px; font: inherit;
  border: 1px solid var(--line); border-radius: 6px; }
button { padding: 6px 12px; font: inherit; border: 1px solid var(--line); border-radius: 6px;
  background: #fff; cursor: pointer; }
button[hidden] { display: none; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th, td { padding: 5px 8px; text-align: right; border-bottom: 1px solid #e3e6ea;
  vertical-align: top; white-space: nowrap; font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; background: #fff; border-bottom: 2px solid var(--line);
  white-space: normal; vertical-align: bottom; }
th button { margin: -4px -6px; padding: 3px 6px; border: 0; font-weight: 600; text-align: inherit; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
td.name, th.name { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 150px; }
td.name small { display: block; color: var(--dim); }
tr:target td { background: #fff3c4; }
a { color: inherit; }
@media (max-width: 640px) {
  body { padding: 12px 10px 40px; }
  svg.wide { display: none; }
  svg.narrow { display: block; }
  .scroll { overflow-x: auto; }
  .less { display: none; }
  th, td { padding: 5px; }
  td.name, th.name { min-width: 120px; }
  dl.facts div { flex-basis: 100px; padding: 6px 10px; }
  dl.facts dd { font-size: 17px; }
}
@media print {
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { max-width: none; padding: 0; font-size: 11px; }
  .tools, .views > label { display: none !important; }
  .view { display: block; break-inside: avoid; }
  .view h3 { display: block; margin: 10px 0 4px; font-size: 13px; }
  table { font-size: 9.5px; }
  th, td { padding: 2px 5px; }
  svg.wide { display: block; max-height: 88mm; }
  svg.narrow { display: none; }
  th { position: static; }
  tr { break-inside: avoid; }
}
"""

SCRIPT: Final = """
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector, from) => [...(from || document).querySelectorAll(selector)];

  // Sorting: cells have their values in data-v, where these are not what is shown.
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
  };
  for (const head of all("table.sorts th")) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const body = head.closest("table").tBodies[0];
      const column = head.cellIndex;
      const down = head.getAttribute("aria-sort") === "descending"
        || (!head.hasAttribute("aria-sort") && head.classList.contains("name"));
      all("th", head.parentNode).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const sign = down ? 1 : -1;
      const rows = [...body.rows].map((row) => [value(row, column), row]);
      rows.sort(([a], [b]) => sign * (typeof a === "number" ? a - b : a.localeCompare(b)));
      body.append(...rows.map(([, row]) => row));
    });
  }

  // Search: rows that don't match go, and their tiles fade.
  const search = document.getElementById("search");
  const tiles = all("svg.map .group > a:not(:has(rect.g)), svg.map .group > g");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(" ").filter(Boolean);
    const matches = (text) => words.every((word) => text.toLowerCase().includes(word));
    for (const row of all("#paths tbody tr")) {
      row.hidden = !matches(row.cells[0].firstChild.textContent);
    }
    for (const tile of tiles) {
      const title = tile.querySelector("title");
      tile.classList.toggle("out", words.length > 0 && !(title && matches(title.textContent)));
    }
  });

  // Zoom: a group fills the map, and Escape or the button goes back.
  const back = document.getElementById("back");
  const whole = new Map(all("svg.map").map((map) => [map, map.getAttribute("viewBox")]));
  const out = () => {
    for (const [map, box] of whole) map.setAttribute("viewBox", box);
    back.hidden = true;
  };
  for (const map of whole.keys()) {
    map.addEventListener("click", (event) => {
      const around = event.target.closest(".group");
      if (!around || !back.hidden || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const box = around.querySelector("rect.g");
      const at = (name) => Number(box.getAttribute(name));
      map.setAttribute("viewBox", [at("x"), at("y"), at("width"), at("height")].join(" "));
      back.hidden = false;
    });
  }
  back.addEventListener("click", out);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") out(); });
})();
"""
