"use strict";
// Sorts a table by the column whose title is pressed, and hides the rows in which nothing changed.
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th button").forEach((button, column) => {
    button.addEventListener("click", () => {
      const title = button.parentElement;
      const descending = title.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
      const compare = (left, right) => {
        const [a, b] = [key(left), key(right)];
        const numbers = a !== "" && b !== "" && !isNaN(a) && !isNaN(b);
        return numbers ? Number(a) - Number(b) : a.localeCompare(b);
      };
      const rows = [...table.tBodies[0].rows].sort(compare);
      table.tBodies[0].append(...(descending ? rows.reverse() : rows));
    });
  });
}
const toggle = document.getElementById("only-changes");
toggle?.addEventListener("change", () => document.body.classList.toggle("changes", toggle.checked));
