"use strict";
(() => {
  const pairs = JSON.parse(document.getElementById("pairs").textContent);
  const control = document.querySelector(".choose");
  const said = document.getElementById("said");
  const data = JSON.parse(document.getElementById("layer-data").textContent);
  const layers = document.getElementById("layers");
  const detail = document.getElementById("layer-said");

  const element = (tag, text, fields = {}) => {
    const made = Object.assign(document.createElement(tag), fields);
    if (text !== "") made.textContent = text;
    return made;
  };
  const number = (value, text) => {
    const cell = element("td", text, { className: "n" });
    cell.dataset.value = value;
    return cell;
  };
  const signed = (value) => (value < 0 ? "" : "+") + value.toFixed(3);

  // The groups of two experiments' layers, with times and kernels of the first one first.
  const groupsOf = (first, second) => {
    const found = data.pairs[`${first} ${second}`];
    const [rows, turned] = found ? [found, false] : [data.pairs[`${second} ${first}`], true];
    if (!rows) return null;
    return rows.map(([title, one, other]) => {
      const sides = [[first, turned ? other : one], [second, turned ? one : other]];
      return {
        title: data.titles[title],
        sides: sides.map(([name, calls]) => ({
          calls,
          ms: calls.reduce((sum, call) => sum + data.builds[name].kernels[call][1], 0),
          detail: `${name}: ${calls.map((call) => data.builds[name].kernels[call][0]).join("; ") || "no kernel"}.`,
        })),
      };
    });
  };

  const bars = (sides, longest) => {
    const both = element("div", "", { className: "pair" });
    both.setAttribute("aria-hidden", "true");
    sides.forEach((side, i) => {
      const bar = element("span", "", { className: `c${i}` });
      bar.style.width = `${100 * side.ms / longest}%`;
      both.append(bar);
    });
    return both;
  };

  const row = (group, index, longest) => {
    const made = element("tr", "", { tabIndex: 0, title: group.sides.map((s) => s.detail).join(" ") });
    const name = element("th", group.title[0], { scope: "row" });
    if (group.title[1]) name.append(element("small", cut(group.title[1], 60)));
    const difference = group.sides[0].ms - group.sides[1].ms;
    const place = element("td", "");
    place.append(bars(group.sides, longest));
    made.append(
      number(index + 1, String(index + 1)), name,
      ...group.sides.map((s) => number(s.ms, s.calls.length ? s.ms.toFixed(3) : "–")),
      number(difference, signed(difference)), place,
    );
    return made;
  };
  const cut = (text, limit) => {
    if (text.length <= limit) return text;
    const head = (limit - 1) >> 1;
    return `${text.slice(0, head)}…${text.slice(head + 1 - limit)}`;
  };

  const showLayers = (first, second) => {
    detail.hidden = true;
    const groups = first === second ? null : groupsOf(first, second);
    if (!groups) {
      const lacking = [first, second].filter((name) => !data.builds[name]);
      layers.replaceChildren(element("p", lacking.length
        ? `${lacking.join(" and ")} has no times of layers: only compiled experiments are profiled.`
        : "Choose two different experiments."));
      return;
    }
    const longest = Math.max(...groups.flatMap((group) => group.sides.map((side) => side.ms)));
    const table = element("table", "", { className: "sortable layers" });
    const caption = table.createCaption();
    caption.textContent = `Milliseconds of one inference; bars: above ${first}, below ${second}`;
    const headings = table.createTHead().insertRow();
    for (const [text, numeric, plain] of [["No.", 1], ["Layer"], [first, 1], [second, 1], ["Difference", 1], ["Both", 0, 1]]) {
      const heading = element("th", text, { className: numeric ? "n" : "" });
      if (plain) heading.dataset.plain = "";
      headings.append(heading);
    }
    table.createTBody().append(...groups.map((group, i) => row(group, i, longest)));
    const foot = table.createTFoot();
    for (const [text, field] of [["outside of kernels", "gap"], ["whole inference", "total"]]) {
      const [a, b] = [data.builds[first][field], data.builds[second][field]];
      const line = foot.insertRow();
      line.append(element("td", ""), element("th", text, { scope: "row" }), number(a, a.toFixed(3)),
        number(b, b.toFixed(3)), number(a - b, signed(a - b)), element("td", ""));
    }
    const region = element("div", "", { className: "scroll", tabIndex: 0 });
    region.setAttribute("role", "region");
    region.setAttribute("aria-label", "Times of layers");
    region.append(table);
    layers.replaceChildren(region);
    makeSortable(table);
  };

  if (layers) {
    const tell = (event) => {
      const over = event.target.closest("#layers tbody tr");
      if (!over) return;
      detail.textContent = over.title;
      detail.hidden = false;
    };
    layers.addEventListener("mouseover", tell);
    layers.addEventListener("focusin", tell);
  }
  if (control) {
    const [first, second] = control.querySelectorAll("select");
    const show = (changed) => {
      const sentences = first.value === second.value
        ? ["Choose two different experiments."]
        : pairs[`${first.value} ${second.value}`];
      said.replaceChildren(...sentences.map((sentence) => {
        const line = document.createElement("p");
        line.textContent = sentence;
        return line;
      }));
      if (layers && changed) showLayers(first.value, second.value);
    };
    first.addEventListener("change", () => show(true));
    second.addEventListener("change", () => show(true));
    control.querySelector("button").addEventListener("click", () => {
      [first.value, second.value] = [second.value, first.value];
      show(true);
    });
    control.hidden = false;
    show(false);
  }

  const key = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.value;
    if (value === undefined) return cell.textContent.trim();
    return value === "" ? Infinity : Number(value);
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number"
    ? (a === b ? 0 : a - b) : String(a).localeCompare(String(b), "en", { numeric: true });
  const makeSortable = (table) => {
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
  };
  document.querySelectorAll("table.sortable").forEach(makeSortable);
})();
