"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = Array.from(table.tHead.rows[0].cells);
  const status = document.getElementById("sorted");
  heads.forEach((head, column) => {
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
