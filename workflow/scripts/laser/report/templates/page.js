"use strict";
const root = document.documentElement;
const THEMES = ["light", "dark"];
const NAME = "theme-";

// The window's name outlives a reload even where a page that is opened from a file has no storage.
const stored = () => {
  try {
    const theme = localStorage.getItem("theme");
    if (THEMES.includes(theme)) return theme;
  } catch { /* storage is blocked */ }
  return window.name.startsWith(NAME) ? window.name.slice(NAME.length) : null;
};
const store = (theme) => {
  window.name = NAME + theme;
  try { localStorage.setItem("theme", theme); } catch { /* storage is blocked */ }
};
if (THEMES.includes(stored())) root.dataset.theme = stored();

function themeButton() {
  const button = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
  const name = () => { button.textContent = isDark() ? "Light colours" : "Dark colours"; };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    store(root.dataset.theme);
    name();
  });
  prefersDark.addEventListener("change", name);
  name();
  button.hidden = false;
}

// Contents are open beside the page, and closed where they would stand before it.
function contents() {
  const details = document.querySelector("nav details");
  const beside = matchMedia("(min-width: 68rem)");
  const fit = () => { details.open = beside.matches; };
  beside.addEventListener("change", fit);
  fit();
}

const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function sortable(table) {
  const heads = Array.from(table.tHead.rows[0].cells);
  const original = Array.from(table.tBodies[0].rows);
  const metrics = [...new Set(original.map((row) => row.dataset.metric))];
  const status = document.getElementById("sorted");
  heads.forEach((head, column) => {
    if (head.hasAttribute("data-fixed")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const direction = NEXT[head.getAttribute("aria-sort") || "none"];
      const key = (row) => row.cells[column].textContent.trim();
      const value = (text) => parseFloat(text.replace(/−/g, "-").replace(/^[<\[(]|,/g, ""));
      const numeric = original.every((row) => key(row) === "" || !Number.isNaN(value(key(row))));
      const rows = Array.from(original);
      if (direction !== "none") rows.sort((first, second) => {
        const [a, b] = [key(first), key(second)];
        const metric = metrics.indexOf(first.dataset.metric) - metrics.indexOf(second.dataset.metric);
        if (metric) return metric;
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = numeric ? value(a) - value(b) : a.localeCompare(b);
        return direction === "descending" ? -order : order;
      });
      table.tBodies[0].append(...rows);
      for (const other of heads) other.removeAttribute("aria-sort");
      if (direction !== "none") head.setAttribute("aria-sort", direction);
      const within = metrics.length > 1 ? ", within each measure" : "";
      status.textContent = direction === "none" ?
        "Rows are in their first order." : `Sorted by ${button.textContent}, ${direction}${within}.`;
    });
  });
}

// On a phone a row is a card: each value has its column's name, and the roles that the layout takes away.
function cards(table) {
  const names = Array.from(table.tHead.rows[0].cells, (head) => head.textContent);
  const role = (element, name) => element.setAttribute("role", name);
  role(table, "table");
  for (const group of [table.tHead, table.tFoot, ...table.tBodies]) if (group) role(group, "rowgroup");
  for (const row of table.rows) role(row, "row");
  for (const head of table.tHead.rows[0].cells) role(head, "columnheader");
  for (const row of Array.from(table.rows).slice(1)) {
    Array.from(row.cells).forEach((cell, column) => {
      role(cell, cell.tagName === "TH" ? "rowheader" : "cell");
      cell.dataset.label = names[column];
    });
  }
  table.classList.add("cards");
}

function wider(region) {
  const note = region.querySelector(".wider");
  const table = region.querySelector("table");
  if (!note || !table) return;
  new ResizeObserver(() => { note.hidden = table.offsetWidth <= region.clientWidth; }).observe(region);
}

document.addEventListener("DOMContentLoaded", () => {
  themeButton();
  contents();
  for (const table of document.querySelectorAll("table.sortable")) {
    cards(table);
    sortable(table);
  }
  document.querySelectorAll(".scroll").forEach(wider);
});
