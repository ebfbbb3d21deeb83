"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const element = (id) => document.getElementById(id);
  const { cells, listed } = JSON.parse(element("index").textContent);
  const PICKED = ["model", "dataset", "protocol"];
  const NAMES = { u_in: "U_in", u_gate: "U_gate", u_out: "U_out", q: "W_q", k: "W_k", v: "W_v", o: "W_o" };
  const ORDER = Object.keys(NAMES);
  const BASE = "base";

  // What is looked at is in the address, so that it can be sent as a link.
  const state = { cell: cells[0].key, at: "", by: "accuracy", side: "validation", show: "all", find: "", with: "" };
  const INITIAL = { ...state };
  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    Object.assign(state, INITIAL);
    for (const key of Object.keys(state)) if (given.has(key)) state[key] = given.get(key);
    if (!cells.some((cell) => cell.key === state.cell)) {
      trouble(`This study has no "${state.cell}"; the first of its sweeps is shown.`);
      state.cell = INITIAL.cell;
    }
    for (const [key, known] of [["by", ["accuracy", "loss"]], ["side", ["validation", "test"]], ["show", ["all", "right", "spoilt"]]])
      if (!known.includes(state[key])) state[key] = INITIAL[key];
  }
  function writeAddress() {
    const given = new URLSearchParams();
    for (const key of Object.keys(state)) if (key === "cell" || state[key] !== INITIAL[key]) given.set(key, state[key]);
    history.replaceState(null, "", `#${given}`);
  }

  // Data: each file is a page that hands its JSON over.
  const loaded = new Map();
  function load(name) {
    if (!loaded.has(name)) loaded.set(name, new Promise((resolve, reject) => {
      const frame = document.createElement("iframe");
      const done = () => { removeEventListener("message", taken); clearTimeout(late); frame.remove(); };
      const taken = (event) => {
        if (event.source !== frame.contentWindow) return;
        done();
        resolve(JSON.parse(event.data));
      };
      const late = setTimeout(() => {
        done();
        loaded.delete(name);
        reject(new Error(`explorer/${name}.html could not be read. Copy the report's whole folder.`));
      }, 20000);
      addEventListener("message", taken);
      frame.hidden = true;
      frame.title = "data";
      frame.src = `explorer/${encodeURIComponent(name)}.html`;
      document.body.append(frame);
    }));
    return loaded.get(name);
  }
  function trouble(text) {
    element("trouble").textContent = text;
    element("trouble").hidden = !text;
  }

  // Words and numbers.
  const signed = (value, digits) => {
    const text = Math.abs(value).toFixed(digits);
    return (Number(text) === 0 ? "" : value > 0 ? "+" : "−") + text;
  };
  const plain = (value, digits) => value.toFixed(digits).replace("-", "−");
  const range = ([, low, high], digits) => (low === null ? "" : ` [${signed(low, digits)}, ${signed(high, digits)}]`);
  const matrixName = (matrix) => NAMES[matrix] || matrix;
  const place = (at) => (at.join("/"));
  const called = (at) => (at === BASE ? "base model" : `${matrixName(at[0])} of layer ${at[1]}, ρ = ${at[2]}`);
  const find = (data, at) => data.places.find((one) => place(one.at) === at);
  const isChosen = (data, at) => (at === BASE ? data.chosen === null : data.chosen !== null && place(data.chosen) === at);
  const isPaper = (data, at) => data.paper !== null && place(data.paper) === at;
  const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
  function quantities(data, at) {
    const base = data.base;
    const about = [["n", `${data.n.toLocaleString("en")}${data.groups < data.n ? ` in ${count(data.groups, "group")}` : ""}`]];
    const accuracy = `${plain(base.accuracy[0], 1)} % [${plain(base.accuracy[1], 1)}, ${plain(base.accuracy[2], 1)}]`;
    const loss = base.loss === null ? "none: the model overflowed" : `${plain(base.loss, 3)} nats`;
    if (at === BASE) return [...about, ["Accuracy, base", accuracy], ["Loss, base", loss]];
    const one = find(data, at);
    const edited = one.loss[0] === null || base.loss === null;
    return [
      ...about,
      ["Rank kept", one.kept === null ? "not stored" : one.kept === 0 ? "0: the whole matrix is removed" : String(one.kept)],
      ["Accuracy, base", accuracy],
      ["Accuracy, edited", `${plain(base.accuracy[0] + one.gain[0], 1)} %`],
      ["Gain", `${signed(one.gain[0], 1)} points${range(one.gain, 1)}`],
      ["Loss, base", loss],
      ["Loss, edited", edited ? "none: the model overflowed" : `${plain(base.loss + one.loss[0], 3)} nats`],
      ["Change of loss", edited ? "none" : `${signed(one.loss[0], 3)} nats${range(one.loss, 3)}`],
      ["Put right", one.right.toLocaleString("en")],
      ["Spoilt", one.spoilt.toLocaleString("en")],
    ];
  }
  function marks(data, at) {
    return [isChosen(data, at) ? "LASER's choice" : "", isPaper(data, at) ? "the paper's choice" : ""].filter(Boolean).join(", ");
  }
  function told(data, at) {
    const lines = quantities(data, at).map(([name, value]) => `${name}: ${value}`);
    const mark = marks(data, at);
    const uncorrected = `Intervals are uncorrected: one of ${count(data.places.length, "cell")}.`;
    return [called(at === BASE ? BASE : find(data, at).at) + (mark ? ` (${mark})` : ""), ...lines, ...(at === BASE ? [] : [uncorrected])].join("\n");
  }

  // Elements are made from texts alone: what a model generated is never read as HTML.
  function make(tag, attributes = {}, ...inner) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...inner);
    return made;
  }
  function table(caption, heads, rows, kind) {
    const made = make("table", { class: kind }, make("caption", {}, caption));
    made.append(make("thead", {}, make("tr", {}, ...heads.map((head) => (head ? make("th", { scope: "col" }, head) : make("td"))))));
    made.append(make("tbody", {}, ...rows));
    return made;
  }

  // The heat maps.
  const current = (data, one) => (state.by === "accuracy" ? one.gain[0] : one.loss[0]);
  const digits = () => (state.by === "accuracy" ? 1 : 3);
  const better = (value) => (state.by === "accuracy" ? value > 0 : value < 0);
  function paint(square, value, most) {
    square.classList.remove("better", "worse", "even", "none");
    square.classList.add(value === null ? "none" : value === 0 ? "even" : better(value) ? "better" : "worse");
    square.style.setProperty("--strength", value === null || !most ? "0" : Math.sqrt(Math.abs(value) / most).toFixed(3));
  }
  const largest = (data) => Math.max(0, ...data.places.map((one) => Math.abs(current(data, one) ?? 0)));

  function drawLegend(data) {
    const most = largest(data);
    const scale = make("div", { class: "scale", role: "img", "aria-label": "Colours, from worse to better" });
    const direction = state.by === "accuracy" ? 1 : -1;
    for (const share of [-1, -1 / 4, 0, 1 / 4, 1]) {
      const value = direction * share * most;
      const step = make("span", {}, signed(value, digits()));
      paint(step, most ? value : 0, most);
      scale.append(step);
    }
    const unit = state.by === "accuracy" ? "points of accuracy" : "nats of loss";
    const chosen = data.chosen === null ? "LASER's choice: the base model" : "LASER's choice";
    const paper = data.paper === null ? [] : [
      make("span", {}, make("span", { class: "key dashed" }, "P"),
        find(data, place(data.paper)) ? "the paper's choice" : `the paper's choice, ${called(data.paper)}, is not among them`)];
    element("legend").replaceChildren(
      make("span", {}, `worse to better, ${unit}, against base`), scale,
      make("span", {}, make("span", { class: "key" }, "L"), chosen), ...paper);
  }

  function drawMaps(data) {
    const layers = [...new Set(data.places.map((one) => one.at[1]))].sort((a, b) => a - b);
    const rhos = [...new Set(data.places.map((one) => one.at[2]))].sort((a, b) => b - a);
    const rank = (matrix) => (ORDER.indexOf(matrix) + 1 || ORDER.length + 1);
    const matrices = [...new Set(data.places.map((one) => one.at[0]))].sort((a, b) => rank(a) - rank(b));
    const known = new Map(data.places.map((one) => [place(one.at), one]));
    const numbers = layers.length <= 12;
    element("maps").replaceChildren(...matrices.map((matrix) => {
      const title = `${matrixName(matrix)}: layer across, ρ down`;
      const caption = make("caption", { id: `map-${matrix}` }, make("span", {}, title));
      const head = make("tr", {}, make("th", { scope: "col" }, "ρ"), ...layers.map((layer) => make("th", { scope: "col" }, String(layer))));
      const square = (at, attributes = {}) => {
        const made = make("td", { role: "gridcell", tabindex: "-1", "aria-selected": "false", "data-at": at, ...attributes });
        const mark = [isChosen(data, at) ? "L" : "", isPaper(data, at) ? "P" : ""].join("");
        made.classList.toggle("marked", isChosen(data, at));
        made.classList.toggle("paper", isPaper(data, at));
        made.dataset.mark = mark;
        return made;
      };
      const base = make("tr", {}, make("th", { scope: "row" }, "base"), square(BASE, { colspan: String(layers.length) }));
      const lines = rhos.map((rho) => make("tr", {}, make("th", { scope: "row" }, rho), ...layers.map((layer) => {
        const at = place([matrix, layer, rho]);
        return known.has(at) ? square(at) : make("td", { class: "none", role: "gridcell", "aria-label": "not tried" });
      })));
      const grid = make("table", { role: "grid", "aria-labelledby": `map-${matrix}`, "data-numbers": String(numbers) },
        caption, make("thead", {}, head), make("tbody", {}, base, ...lines));
      const map = make("div", { class: "map" }, grid);
      grid.style.minWidth = `${layers.length * (numbers ? 2.6 : 1.6) + 3.5}rem`;
      grid.querySelector("td[data-at]").tabIndex = 0;
      return map;
    }));
    element("maps").style.setProperty("--wide", `${Math.max(18, layers.length * (numbers ? 3.2 : 1.9) + 4)}rem`);
    colour(data);
  }

  function colour(data) {
    const most = largest(data);
    for (const square of document.querySelectorAll("#maps td[data-at]")) {
      const at = square.dataset.at;
      const mark = square.dataset.mark;
      const numbers = square.closest("table").dataset.numbers === "true";
      if (at === BASE) {
        square.classList.add("even");
        const value = state.by === "accuracy" ? `${plain(data.base.accuracy[0], 1)} %` : data.base.loss === null ? "" : `${plain(data.base.loss, 3)} nats`;
        square.textContent = `${mark} ${value}`.trim();
        square.setAttribute("aria-label", `base model: ${value}${marks(data, BASE) ? `, ${marks(data, BASE)}` : ""}`);
        continue;
      }
      const one = find(data, at);
      const value = current(data, one);
      paint(square, value, most);
      const text = value === null ? "overflowed" : signed(value, digits());
      square.textContent = numbers && value !== null ? `${mark} ${text}`.trim() : mark;
      const unit = state.by === "accuracy" ? "points" : "nats";
      square.setAttribute("aria-label", `${called(one.at)}: ${text} ${unit}${marks(data, at) ? `, ${marks(data, at)}` : ""}`);
    }
    drawLegend(data);
  }

  function mark() {
    const [keptCell, keptAt] = split(state.with);
    for (const square of document.querySelectorAll("#maps td[data-at]")) {
      square.setAttribute("aria-selected", String(square.dataset.at === state.at));
      square.classList.toggle("kept", keptCell === state.cell && keptAt === square.dataset.at);
    }
  }

  // The tooltip shows the square under the pointer or with the focus; Escape hides it.
  const tip = element("tip");
  function showTip(square, data) {
    tip.textContent = told(data, square.dataset.at);
    tip.hidden = false;
    const box = square.getBoundingClientRect();
    const { width, height } = tip.getBoundingClientRect();
    const below = box.bottom + 8 + height < innerHeight;
    tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`;
    tip.style.top = `${below ? box.bottom + 8 : Math.max(8, box.top - height - 8)}px`;
    square.setAttribute("aria-describedby", "tip");
  }
  function hideTip() {
    tip.hidden = true;
    for (const square of document.querySelectorAll("[aria-describedby=tip]")) square.removeAttribute("aria-describedby");
  }

  // The square that is open, beside the one that is kept for comparison.
  const split = (kept) => { const at = kept.indexOf(":"); return [kept.slice(0, at), kept.slice(at + 1)]; };
  const known = (data, at) => at === BASE || Boolean(find(data, at));
  const title = (cell) => `${cell.model} on ${cell.dataset}, ${cell.protocol} protocol`;
  const cellOf = (key) => cells.find((cell) => cell.key === key);
  async function drawDetail(data, stale) {
    const [keptCell, keptAt] = split(state.with);
    const open = state.at && known(data, state.at);
    const other = cellOf(keptCell) ? await load(keptCell) : null;
    if (stale()) return;
    const kept = other !== null && known(other, keptAt);
    if (state.with && !kept) trouble(`"${state.with}", which the link compares with, is not in this study.`);
    if (state.at && !open) trouble(`"${state.at}" is not among the interventions of ${title(cellOf(state.cell))}.`);
    element("keep-line").hidden = !open && !kept;
    element("keep").hidden = !open;
    element("drop").hidden = !kept;
    if (!open && !kept) {
      element("detail").replaceChildren(make("p", {}, "No square is open yet."));
      return;
    }
    const columns = [];
    const add = (from, key, at, what) => columns.push({ from, key, at, what });
    if (kept) add(other, keptCell, keptAt, "Kept: ");
    if (open) add(data, state.cell, state.at, kept ? "Open: " : "");
    const lists = columns.map((column) => new Map(quantities(column.from, column.at)));
    const names = [...new Set(lists.flatMap((list) => [...list.keys()]))];
    const rows = columns.map((column, at) => {
      const what = called(column.at === BASE ? BASE : find(column.from, column.at).at);
      const mark = marks(column.from, column.at);
      const head = `${column.what}${what}${mark ? ` (${mark})` : ""}, ${title(cellOf(column.key))}`;
      return make("tr", {}, make("th", { scope: "row" }, head), ...names.map((name) => make("td", {}, lists[at].get(name) ?? "")));
    });
    const caption = columns.length > 1 ? "Two interventions compared" : "Scores on validation rows";
    const inner = [make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption }, table(caption, ["", ...names], rows, "numeric"))];
    const several = [...new Set(columns.map((column) => column.from.places.length))].join(" and ");
    inner.push(make("p", { class: "soft" }, `Intervals are uncorrected: one of ${several} cells.`));
    if (kept && open && keptCell === state.cell && keptAt !== BASE && state.at !== BASE) inner.push(make("p", {}, await overlap(keptAt)));
    if (stale()) return;
    element("detail").replaceChildren(...inner);
  }
  async function flipsOf(key, at) {
    const [matrix, layer, rho] = at.split("/");
    const layerFile = await load(`${key}-layer${layer}`);
    return { outputs: layerFile.outputs, ...layerFile.places[`${matrix}/${rho}`] };
  }
  async function overlap(keptAt) {
    const [kept, open] = await Promise.all([flipsOf(state.cell, keptAt), flipsOf(state.cell, state.at)]);
    const words = [["put right", "right"], ["spoilt", "spoilt"]].map(([word, kind]) => {
      const [first, second] = [kept, open].map((flips) => new Set(flips[kind].filter((_, at) => at % 2 === 0)));
      const both = [...first].filter((row) => second.has(row)).length;
      return `${word} by both ${both}, by the kept one alone ${first.size - both}, by the open one alone ${second.size - both}`;
    });
    const capped = [kept, open].some((flips) => ["right", "spoilt"].some((kind) => flips[kind].length >= 2 * listed));
    return `Validation rows: ${words.join("; ")}${capped ? ` (of the first ${listed} of each kind that are stored here)` : ""}.`;
  }

  // The rows that changed.
  async function drawRows(data, stale) {
    const filters = element("filters");
    const open = state.at && state.at !== BASE && known(data, state.at);
    filters.hidden = !open;
    if (!open) {
      element("rows").replaceChildren();
      element("counted").textContent = state.at === BASE ? "The base model changes no rows." : "Open a square to see the rows that it changed.";
      return;
    }
    const canTest = data.tested && isChosen(data, state.at);
    element("side").querySelector("[value=test]").disabled = !canTest;
    const test = canTest && state.side === "test";
    element("side").value = test ? "test" : "validation";
    element("show").value = state.show;
    if (element("find").value !== state.find) element("find").value = state.find;
    const key = state.cell;
    let rows, flips, totals;
    if (test) {
      const file = await load(`${key}-test`);
      [rows, flips, totals] = [file.rows, { outputs: file.flips.outputs, ...file.flips.places.test }, file];
    } else {
      [rows, flips] = await Promise.all([load(`${key}-rows`), flipsOf(key, state.at)]);
      totals = find(data, state.at);
    }
    if (stale()) return;
    const wanted = state.find.trim().toLowerCase();
    const lines = [];
    for (const [kind, word] of [["right", "put right"], ["spoilt", "spoilt"]]) {
      if (state.show !== "all" && state.show !== kind) continue;
      for (let at = 0; at < flips[kind].length; at += 2) {
        const row = flips[kind][at];
        const texts = [rows.question[row], rows.answer[row].trim(), rows.output[row].trim(), flips.outputs[flips[kind][at + 1]].trim()];
        if (!wanted || [...texts, rows.id[row]].some((text) => text.toLowerCase().includes(wanted))) lines.push([word, ...texts]);
      }
    }
    const heads = ["Change", "Question", "Answer", "Base model's output", "Edited model's output"];
    const made = lines.map((texts) => make("tr", {}, ...texts.map((text, at) => make("td", { "data-name": heads[at] }, text))));
    const stored = (flips.right.length + flips.spoilt.length) / 2;
    const short = stored < totals.right + totals.spoilt ? ` Of each kind the first ${listed} are stored here.` : "";
    element("counted").textContent =
      `${called(find(data, state.at).at)}, ${test ? "test" : "validation"} rows: ${totals.right.toLocaleString("en")} put right, ${totals.spoilt.toLocaleString("en")} spoilt; ${count(lines.length, "row")} shown.${short}`;
    element("rows").replaceChildren(...(made.length ? [table("Rows that changed", heads, made, "changes")] : []));
  }

  // Putting it together.
  let turn = 0;
  let shown = null;
  async function draw() {
    const mine = ++turn;
    const stale = () => mine !== turn;
    try {
      const data = await load(state.cell);
      if (stale()) return;
      if (shown !== state.cell) {
        pick();
        const cell = cellOf(state.cell);
        element("about").textContent = `${title(cell)}: ${count(data.places.length, "intervention")} on ${count(data.n, "validation row")}.`;
        drawMaps(data);
        shown = state.cell;
      } else colour(data);
      for (const radio of document.getElementsByName("by")) radio.checked = radio.value === state.by;
      mark();
      await Promise.all([drawDetail(data, stale), drawRows(data, stale)]);
      document.body.dataset.ready = String(mine);
    } catch (error) {
      trouble(error.message);
    }
  }
  function change(changes) {
    trouble("");
    Object.assign(state, changes);
    writeAddress();
    return draw();
  }
  function pick() {
    const cell = cellOf(state.cell);
    for (const name of PICKED) {
      const values = [...new Set(cells.map((one) => one[name]))];
      element(name).replaceChildren(...values.map((value) => make("option", {}, value)));
      element(name).value = cell[name];
    }
  }
  for (const name of PICKED) element(name).addEventListener("change", () => {
    const wanted = Object.fromEntries(PICKED.map((one) => [one, element(one).value]));
    const alike = (cell) => PICKED.filter((one) => cell[one] === wanted[one]).length;
    const near = cells.filter((cell) => cell[name] === wanted[name]).sort((a, b) => alike(b) - alike(a))[0];
    change({ cell: near.key, at: "", side: "validation" });
  });
  element("controls").addEventListener("change", (event) => { if (event.target.name === "by") change({ by: event.target.value }); });
  for (const name of ["side", "show"]) element(name).addEventListener("change", () => change({ [name]: element(name).value }));
  element("find").addEventListener("input", () => change({ find: element("find").value }));
  element("keep").addEventListener("click", () => change({ with: `${state.cell}:${state.at}` }));
  element("drop").addEventListener("click", () => change({ with: "" }));

  const maps = element("maps");
  const squareOf = (event) => event.target.closest?.("td[data-at]");
  const withData = async (use) => use(await load(state.cell));
  maps.addEventListener("mouseover", (event) => { const square = squareOf(event); if (square) withData((data) => showTip(square, data)); else hideTip(); });
  maps.addEventListener("mouseleave", hideTip);
  maps.addEventListener("focusin", (event) => {
    const square = squareOf(event);
    if (!square) return;
    for (const one of square.closest("table").querySelectorAll("td[data-at]")) one.tabIndex = one === square ? 0 : -1;
    withData((data) => showTip(square, data));
  });
  maps.addEventListener("focusout", hideTip);
  maps.addEventListener("click", (event) => { const square = squareOf(event); if (square) { square.focus(); change({ at: square.dataset.at }); } });
  maps.addEventListener("keydown", (event) => {
    const square = squareOf(event);
    if (!square || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      change({ at: square.dataset.at }).then(() => event.key === "Enter" && state.at !== BASE && element("changed").scrollIntoView({ block: "start" }));
      return;
    }
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] }[event.key];
    if (!step) return;
    event.preventDefault();
    const lines = [...square.closest("tbody").rows].map((row) => [...row.querySelectorAll("td")]);
    let row = lines.findIndex((line) => line.includes(square));
    let column = lines[row].length === 1 ? Number(maps.dataset.column || 0) : lines[row].indexOf(square);
    const inside = (value, most) => Math.max(0, Math.min(most, value));
    row = inside(row + step[0], lines.length - 1);
    column = inside(column + step[1], lines[lines.length - 1].length - 1);
    maps.dataset.column = String(column);
    const next = lines[row][Math.min(column, lines[row].length - 1)];
    if (next.dataset.at) next.focus();
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
  addEventListener("scroll", hideTip, { passive: true });
  addEventListener("hashchange", () => { trouble(""); readAddress(); draw(); });
  // Links within the page would take the place of what is looked at.
  for (const link of document.querySelectorAll('a[href^="#"]')) link.addEventListener("click", (event) => {
    event.preventDefault();
    const target = element(link.getAttribute("href").slice(1));
    target.scrollIntoView();
    target.focus();
  });
  readAddress();
  draw();
});
