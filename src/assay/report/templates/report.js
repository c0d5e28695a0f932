"use strict";
(() => {
  const pairs = JSON.parse(document.getElementById("pairs").textContent);
  const control = document.querySelector(".choose");
  const said = document.getElementById("said");
  if (control) {
    const [first, second] = control.querySelectorAll("select");
    const show = () => {
      const sentences = first.value === second.value
        ? ["Choose two different experiments."]
        : pairs[`${first.value} ${second.value}`];
      said.replaceChildren(...sentences.map((sentence) => {
        const line = document.createElement("p");
        line.textContent = sentence;
        return line;
      }));
    };
    first.addEventListener("change", show);
    second.addEventListener("change", show);
    control.querySelector("button").addEventListener("click", () => {
      [first.value, second.value] = [second.value, first.value];
      show();
    });
    control.hidden = false;
    show();
  }

  const key = (row, column) => {
    const cell = row.cells[column];
    const number = cell.dataset.value;
    if (number === undefined) return cell.textContent.trim();
    return number === "" ? Infinity : Number(number);
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number"
    ? (a === b ? 0 : a - b) : String(a).localeCompare(String(b), "en", { numeric: true });
  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      if (heading.dataset.plain !== undefined) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].sort((a, b) => compare(key(a, column), key(b, column)));
        body.append(...(down ? rows.reverse() : rows));
      });
    });
  }
})();
