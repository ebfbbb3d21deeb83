"use strict";
const root = document.documentElement;
const stored = () => {
  try { return localStorage.getItem("theme"); } catch { return null; }
};
if (["light", "dark"].includes(stored())) root.dataset.theme = stored();

function themeButton() {
  const button = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
  const name = () => { button.textContent = isDark() ? "Light colours" : "Dark colours"; };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a page without storage forgets */ }
    name();
  });
  prefersDark.addEventListener("change", name);
  name();
  button.hidden = false;
}

function sortable(table) {
  const heads = Array.from(table.tHead.rows[0].cells);
  const status = document.getElementById("sorted");
  heads.forEach((head, column) => {
    if (head.hasAttribute("data-fixed")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      const key = (row) => row.cells[column].textContent.trim();
      const value = (text) => parseFloat(text.replace(/−/g, "-").replace(/^[<\[(]|,/g, ""));
      const rows = Array.from(table.tBodies[0].rows);
      const numeric = rows.every((row) => key(row) === "" || !Number.isNaN(value(key(row))));
      rows.sort((first, second) => {
        const [a, b] = [key(first), key(second)];
        if (a === "" || b === "") return (a === "") - (b === "");
        const order = numeric ? value(a) - value(b) : a.localeCompare(b);
        return descending ? -order : order;
      });
      table.tBodies[0].append(...rows);
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      status.textContent = `Sorted by ${button.textContent}, ${descending ? "descending" : "ascending"}.`;
    });
  });
}

document.addEventListener("DOMContentLoaded", () => {
  themeButton();
  for (const table of document.querySelectorAll("table.sortable")) sortable(table);
});
