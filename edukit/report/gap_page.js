// The gap page: cohort, mark, evidence, matrix or list, exports. Text reaches the page through textContent only.

const DATA = JSON.parse(document.getElementById("data").textContent);
const { concepts, cohorts, edges, rules } = DATA;
const ROWS = 100; // rows shown before "show all"
const FEW = 0, COVER = 1; // a cell without numbers: not enough data, or hidden so that a small one cannot be computed
const state = { cohort: 0, mark: rules.fail, concept: null, sort: { by: "need", down: true }, all: false };
const $ = id => document.getElementById(id);

function make(name, { text, children = [], on = {}, ...attributes } = {}) {
  const node = document.createElement(name);
  for (const key in attributes) if (attributes[key] !== null) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  for (const key in on) node.addEventListener(key, on[key]);
  node.append(...children);
  return node;
}

// ---- what a cell says ----------------------------------------------------------------------------

const cellOf = (cohort, i) => {
  const raw = cohorts[cohort].cells[i];
  if (!Array.isArray(raw)) return { hidden: raw === COVER ? "suppressed" : "not enough data" };
  const [n, responses, mastery, low, high, se] = raw;
  const distance = (state.mark - mastery) / Math.max(se, 1e-12); // P(mean mastery < mark) is the normal's share below this
  return { n, responses, mastery, low, high, se, distance, need: rules.target - mastery,
    verdict: distance >= rules.zStuck ? "stuck" : distance <= -rules.zStuck ? "above" : "unsure" };
};
const VERDICTS = { stuck: "Stuck", unsure: "Unsure", above: "Above the mark" };
const percent = value => Math.floor(value * 100 + 0.5);
const cohortName = cohort => cohorts[cohort].id === "all" ? "all learners" : cohorts[cohort].id;

// Normal distribution function (Abramowitz and Stegun 1964, 26.2.17; error below 1e-7).
function normal(z) {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const tail = Math.exp(-z * z / 2) * 0.3989422804 * t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z > 0 ? 1 - tail : tail;
}

const probability = cell => { const p = normal(cell.distance); return p > 0.995 ? "> .99" : p < 0.005 ? "< .01" : p.toFixed(2).slice(1); };

// Orange below the mark, blue above it, pale at the mark; told apart without red and green, and by lightness at the ends.
const ENDS = { below: [[250, 243, 234], [240, 173, 105], [168, 72, 11]], above: [[240, 245, 249], [133, 178, 214], [24, 82, 130]] };
function shade(value) {
  const side = value < state.mark ? ENDS.below : ENDS.above;
  const t = Math.min(1, Math.abs(value - state.mark) / 0.35) * 2, k = t < 1 ? 0 : 1;
  return side[k].map((from, c) => Math.round(from + (side[k + 1][c] - from) * (t - k)));
}
const colour = value => `rgb(${shade(value).join(",")})`;
const ink = value => { const [r, g, b] = shade(value); return 0.299 * r + 0.587 * g + 0.114 * b < 140 ? "#ffffff" : "#1d2733"; };

function words(i, cell, cohort = state.cohort) {
  const said = cell.hidden || `mastery ${percent(cell.mastery)} %, ${VERDICTS[cell.verdict].toLowerCase()}`;
  return `${concepts[i].name}, ${cohortName(cohort)}: ${said}`;
}

// ---- graph ---------------------------------------------------------------------------------------

const graph = new ConceptGraph($("graph"), concepts, edges, select);

function paint() {
  graph.paint(concepts.map((_, i) => {
    const cell = cellOf(state.cohort, i);
    const fill = cell.hidden === "suppressed" ? "#e4e8ec" : cell.hidden ? "url(#hatch)" : colour(cell.mastery);
    return { fill, text: cell.hidden ? "#4b5763" : ink(cell.mastery), stuck: cell.verdict === "stuck", hidden: Boolean(cell.hidden), words: words(i, cell) };
  }));
  const counts = { stuck: 0, unsure: 0, above: 0, hidden: 0 };
  concepts.forEach((_, i) => { const cell = cellOf(state.cohort, i); counts[cell.verdict || "hidden"] += 1; });
  for (const name in counts) $(`n-${name}`).textContent = counts[name];
  $("mark-value").textContent = `${percent(state.mark)} %`;
}

const KEYS = [["url(#hatch)", "#98a3af", 1, "4 3", "not enough data"], ["#e4e8ec", "#98a3af", 1, "4 3", "hidden for privacy"], ["#ffffff", "#1d2733", 3, "none", "stuck"]];
function legend() {
  const bar = svg("svg", { width: 150, height: 14, "aria-hidden": "true" });
  for (let k = 0; k < 30; k++) svg("rect", { x: k * 5, width: 5.2, height: 14, fill: colour(state.mark - 0.35 + k / 29 * 0.7) }, bar);
  const name = make("span", { children: ["below the mark", bar, "above"] });
  $("legend").replaceChildren(name, ...KEYS.map(([fill, stroke, width, dash, text]) => {
    const box = svg("svg", { width: 30, height: 18, "aria-hidden": "true" });
    svg("rect", { x: 2, y: 2, width: 26, height: 14, rx: 4, fill, stroke, "stroke-width": width, "stroke-dasharray": dash }, box);
    return make("span", { children: [box, text] });
  }));
}

// ---- evidence ------------------------------------------------------------------------------------

function dots(cell, height, scale) {
  const box = svg("svg", { viewBox: `0 0 200 ${height}`, width: "100%", height, preserveAspectRatio: "none", "aria-hidden": "true" }), y = scale ? 13 : height / 2;
  svg("line", { x1: 0, x2: 200, y1: y, y2: y, stroke: "#dde2e8", "stroke-width": 2 }, box);
  svg("line", { x1: state.mark * 200, x2: state.mark * 200, y1: y - 8, y2: y + 8, stroke: "#1d2733", "stroke-width": 1.5, "stroke-dasharray": "3 2" }, box);
  if (cell.hidden) return box;
  svg("rect", { x: cell.low * 200, width: Math.max(1, (cell.high - cell.low) * 200), y: y - 3.5, height: 7, rx: 3, fill: "#98a3af" }, box);
  svg("rect", { x: cell.mastery * 200 - 2, width: 4, y: y - 7, height: 14, rx: 1.5, fill: cell.verdict === "stuck" ? "#a8480b" : "#1f5a87" }, box);
  return box;
}

function lines(list, told) {
  if (!list.length) return make("p", { class: "none", text: "none" });
  return make("ul", { class: "lines", children: list.map(i => {
    const cell = cellOf(state.cohort, i), swatch = make("span", { class: "swatch" + (cell.verdict === "stuck" ? " stuck" : "") });
    swatch.style.background = cell.hidden ? "#e4e8ec" : colour(cell.mastery);
    const value = make("span", { class: "value", children: [cell.hidden ? "not shown" : `${percent(cell.mastery)} %`, swatch] });
    return make("li", { children: [make("button", { type: "button", text: concepts[i].name, title: told(i), on: { click: () => select(i) } }), value] });
  }) });
}

function evidence() {
  const panel = $("evidence"), i = state.concept;
  panel.replaceChildren();
  if (i === null) {
    panel.append(make("h2", { text: "Evidence" }), make("p", { class: "none", text: "Choose a concept in the graph, in the table or by search to see what its estimate rests on." }));
    return;
  }
  const concept = concepts[i], cell = cellOf(state.cohort, i), told = new Map(edges.filter(e => e[0] === i || e[1] === i).map(e => [e[0] === i ? e[1] : e[0], `${e[3]}, weight ${e[2]}`]));
  const items = `${concept.items} ${concept.items === 1 ? "item" : "items"} answered`;
  panel.append(make("h2", { text: concept.name }), make("p", { class: "topic", text: [concept.topic, concept.id, cohortName(state.cohort)].filter(Boolean).join(" · ") }));
  if (cell.hidden) {
    panel.append(make("span", { class: "chip", text: cell.hidden === "suppressed" ? "Hidden for privacy" : "Not enough data" }), make("p", { text: cell.hidden === "suppressed"
      ? "There is enough data here, but with this number one could compute that of a smaller group by subtraction."
      : `Fewer than ${rules.k} learners or ${rules.min_responses} responses: that is too little to say anything, so no number is shown.` }),
    make("p", { class: "none", text: items }));
  } else {
    panel.append(make("span", { class: `chip ${cell.verdict}`, text: VERDICTS[cell.verdict] }),
      make("p", { class: "figure", id: "mastery", children: [`${percent(cell.mastery)} %`, make("small", { text: `${percent(rules.interval)} % interval ${percent(cell.low)}–${percent(cell.high)} %` })] }),
      dots(cell, 30, true),
      make("dl", { class: "facts", children: [["Learners", cell.n], ["Responses", cell.responses], ["Items", concept.items], ["Need (points)", `${cell.need > 0 ? "+" : ""}${percent(cell.need)}`],
        ["P(below)", probability(cell)]].map(([name, value]) => make("div", { children: [make("dt", { text: name }), make("dd", { text: value })] })) }));
  }
  if (concept.badge) panel.append(make("p", { class: "badge", text: `${concept.badge[0].toUpperCase()}${concept.badge.slice(1)}. With so few items, a hard concept and a flawed item look the same.` }));
  const weak = graph.prerequisites[i].filter(k => cellOf(state.cohort, k).verdict === "stuck").length, all = graph.prerequisites[i].length;
  if (cell.verdict === "stuck" && weak) panel.append(make("p", { class: "badge", text: `${weak === all ? (all > 1 ? `All ${all} concepts` : "The concept") : `${weak} of the ${all} concepts`} it builds on ${weak > 1 ? "are" : "is"} stuck too; this gap may be associated with that.` }));
  panel.append(make("h3", { text: "Builds on" }), lines(graph.prerequisites[i], k => told.get(k)), make("h3", { text: "Needed for" }), lines(graph.dependants[i], k => told.get(k)));
  if (cohorts.length > 1) {
    panel.append(make("h3", { text: "By class" }), make("ul", { class: "lines classes", children: cohorts.map((cohort, c) => {
      const one = cellOf(c, i);
      return make("li", { class: c === state.cohort ? "selected" : null, title: words(i, one, c), children: [make("span", { class: "who", text: cohortName(c) }), dots(one, 20, false),
        make("span", { class: "value", text: one.hidden ? "—" : `${percent(one.mastery)} %` })] });
    }) }));
  }
}

function select(i) {
  state.concept = i;
  graph.highlight(i);
  if (i !== null) graph.focus(i, false);
  evidence();
  document.querySelectorAll("tbody th button").forEach(button => button.classList.toggle("chosen", Number(button.dataset.i) === i));
}

// ---- matrix or list ------------------------------------------------------------------------------

const stuckClasses = i => cohorts.reduce((sum, _, c) => sum + (c > 0 && cellOf(c, i).verdict === "stuck"), 0);
const ORDERS = {
  need: i => cellOf(state.cohort, i).need, mastery: i => cellOf(state.cohort, i).mastery, p: i => cellOf(state.cohort, i).distance, n: i => cellOf(state.cohort, i).n,
  responses: i => cellOf(state.cohort, i).responses, items: i => concepts[i].items, name: i => concepts[i].name, topic: i => concepts[i].topic || undefined,
  order: i => concepts[i].x + concepts[i].y / 1e4, stuck: stuckClasses,
};

function ranked() {
  const { by, down } = state.sort, keys = concepts.map((_, i) => ORDERS[by](i));
  const compare = (a, b) => keys[a] === undefined || keys[b] === undefined ? (keys[a] === undefined) - (keys[b] === undefined)
    : (typeof keys[a] === "string" ? keys[a].localeCompare(keys[b]) : keys[a] - keys[b]) * (down ? -1 : 1);
  return concepts.map((_, i) => i).sort((a, b) => compare(a, b) || a - b);
}

const naming = i => make("th", { scope: "row", children: [make("button", { type: "button", text: concepts[i].name, "data-i": i, class: i === state.concept ? "chosen" : null,
  on: { click: () => { select(i); $("evidence").scrollIntoView({ block: "nearest" }); } } })] });

function matrixCell(c, i) {
  const cell = cellOf(c, i), kind = cell.hidden === "suppressed" ? " hidden cover" : cell.hidden ? " hidden few" : cell.verdict === "stuck" ? " stuck" : "";
  const box = make("button", { type: "button", tabindex: -1, class: "cell" + kind, "aria-label": words(i, cell, c), title: words(i, cell, c), text: cell.hidden === "suppressed" ? "···" : cell.hidden ? "–" : `${percent(cell.mastery)}${cell.verdict === "stuck" ? " ●" : ""}`,
    on: { click: () => { show(c); select(i); } } });
  if (!cell.hidden) { box.style.background = colour(cell.mastery); box.style.color = ink(cell.mastery); }
  return make("td", { children: [box] });
}

const COLUMNS = [["name", "Concept"], ["topic", "Topic", "wide-only"], ["mastery", "Mastery and interval"], ["need", "Need (points)", "number"], ["p", "P(below mark)", "number"], ["n", "Learners", "number wide-only"],
  ["responses", "Responses", "number wide-only"], ["items", "Items", "number wide-only"]];

function listRow(i) {
  const cell = cellOf(state.cohort, i), number = (text, kind = "") => make("td", { class: `number ${kind}`, text: cell.hidden ? "" : text });
  const bar = make("td", { children: cell.hidden ? [make("span", { class: "none", text: cell.hidden })] : [dots(cell, 20, false)] });
  const value = make("td", { class: "number", text: cell.hidden ? "" : `${percent(cell.mastery)} %${cell.verdict === "stuck" ? " ●" : ""}` });
  return make("tr", { children: [naming(i), make("td", { class: "topic wide-only", text: concepts[i].topic || "" }), bar, value, number(percent(cell.need)), number(cell.hidden ? "" : probability(cell)),
    number(cell.n, "wide-only"), number(cell.responses, "wide-only"), make("td", { class: "number wide-only", text: concepts[i].items })] });
}

function table() {
  const order = ranked(), shown = state.all ? order : order.slice(0, ROWS), matrix = $("matrix");
  if (matrix) {
    const head = make("tr", { children: [make("th", { text: "Concept" }), ...cohorts.map((cohort, c) => make("th", { scope: "col", title: cohortName(c), children: [make("span", { text: cohortName(c) })] }))] });
    matrix.replaceChildren(make("thead", { children: [head] }), make("tbody", { children: shown.map(i => make("tr", { children: [naming(i), ...cohorts.map((_, c) => matrixCell(c, i))] })) }));
  } else {
    const head = make("tr", { children: COLUMNS.map(([by, text, kind]) => {
      const on = state.sort.by === by, sort = () => { state.sort = { by, down: on ? !state.sort.down : !["name", "topic", "mastery"].includes(by) }; table(); };
      return make("th", { scope: "col", class: kind || null, colspan: by === "mastery" ? 2 : null, "aria-sort": on ? (state.sort.down ? "descending" : "ascending") : null,
        children: [make("button", { type: "button", text: text + (on ? (state.sort.down ? " ↓" : " ↑") : ""), on: { click: sort } })] });
    }) });
    $("list").replaceChildren(make("thead", { children: [head] }), make("tbody", { children: shown.map(listRow) }));
  }
  $("more").hidden = shown.length === order.length;
  $("more").textContent = `Show all ${order.length} concepts`;
}

function show(cohort) {
  state.cohort = cohort;
  $("cohort").value = cohort;
  refresh();
}

function refresh() { paint(); legend(); evidence(); table(); }

// ---- exports -------------------------------------------------------------------------------------

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// Text that a spreadsheet would run as a formula gets an apostrophe; numbers stay numbers.
const field = value => typeof value === "number" ? String(value) : `"${String(value ?? "").replace(/^('*[=+\-@\t\r])/, "'$1").replaceAll('"', '""')}"`;

function csv() {
  const rows = [["class_id", "concept_id", "concept", "topic", "state", "n", "responses", "items", "mastery", "low", "high", "need", "mark", "p_below_mark", "stuck", "badge"]];
  const short = value => Number(value.toFixed(4));
  cohorts.forEach((cohort, c) => concepts.forEach((concept, i) => {
    const cell = cellOf(c, i), numbers = cell.hidden ? ["", ""] : [cell.n, cell.responses];
    const rest = cell.hidden ? ["", "", "", "", state.mark, "", ""] : [...[cell.mastery, cell.low, cell.high, cell.need].map(short), state.mark, short(normal(cell.distance)), cell.verdict === "stuck" ? "True" : "False"];
    rows.push([cohort.id, concept.id, concept.name, concept.topic, cell.hidden || "estimated", ...numbers, concept.items, ...rest, concept.badge]);
  }));
  return "\uFEFF" + rows.map(row => row.map(field).join(",")).join("\r\n") + "\r\n";
}

function png() {
  const margin = 40, top = 96, scale = Math.min(2, 8000 / Math.max(graph.width + 2 * margin, graph.height + top + margin));
  const width = Math.max(graph.width + 2 * margin, 900), height = graph.height + top + margin;
  const picture = $("graph").cloneNode(true), world = picture.lastElementChild;
  for (const [key, value] of Object.entries({ xmlns: SVG, width: width * scale, height: height * scale, viewBox: `0 0 ${width} ${height}`, "font-family": "system-ui, Segoe UI, Helvetica, Arial, sans-serif" })) picture.setAttribute(key, value);
  world.setAttribute("transform", `translate(${margin} ${top})`);
  world.querySelectorAll(".node text").forEach(text => text.setAttribute("display", "inline"));
  world.lastElementChild.remove();
  const write = (x, y, size, text) => { svg("text", { x, y, "font-size": size, fill: "#1d2733" }, picture).textContent = text; };
  write(margin, 34, 20, DATA.title);
  write(margin, 58, 14, `${cohortName(state.cohort)} · mark ${percent(state.mark)} %`);
  for (let k = 0; k < 30; k++) svg("rect", { x: margin + 108 + k * 5, y: 69, width: 5.2, height: 14, fill: colour(state.mark - 0.35 + k / 29 * 0.7) }, picture);
  write(margin, 80, 13, "below the mark");
  write(margin + 266, 80, 13, "above");
  KEYS.forEach(([fill, stroke, line, dash, text], k) => {
    svg("rect", { x: margin + 340 + k * 170, y: 69, width: 26, height: 14, rx: 4, fill, stroke, "stroke-width": line, "stroke-dasharray": dash }, picture);
    write(margin + 374 + k * 170, 80, 13, text);
  });
  const image = new Image(), canvas = make("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  image.onload = () => {
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0);
    canvas.toBlob(blob => save(blob, "gap-map.png"), "image/png");
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(picture));
}

// ---- begin ---------------------------------------------------------------------------------------

cohorts.forEach((_, c) => $("cohort").append(make("option", { value: c, text: cohortName(c) })));
$("cohort").addEventListener("change", event => show(Number(event.target.value)));
$("mark").addEventListener("input", event => { state.mark = Number(event.target.value); refresh(); });
if ($("sort")) $("sort").addEventListener("change", event => { state.sort = { by: event.target.value, down: ["need", "stuck"].includes(event.target.value) }; table(); });
$("more").addEventListener("click", () => { state.all = true; table(); });
$("zoom-in").addEventListener("click", () => graph.zoom(1.4));
$("zoom-out").addEventListener("click", () => graph.zoom(1 / 1.4));
$("zoom-fit").addEventListener("click", () => graph.fit());
$("save-csv").addEventListener("click", () => save(new Blob([csv()], { type: "text/csv;charset=utf-8" }), "gap-map.csv"));
$("save-png").addEventListener("click", png);

$("search").addEventListener("input", event => {
  const asked = event.target.value.trim().toLowerCase();
  const hits = asked ? concepts.map((_, i) => i).filter(i => `${concepts[i].name}\n${concepts[i].id}`.toLowerCase().includes(asked)).slice(0, 8) : [];
  $("found").hidden = !asked;
  $("found").replaceChildren(...(hits.length ? hits.map(i => make("li", { children: [make("button", { type: "button", text: concepts[i].name, on: { click: () => choose(i) } })] }))
    : [make("li", { children: [make("p", { text: "No concept of that name." })] })]));
});
function choose(i) {
  $("search").value = concepts[i].name;
  $("found").hidden = true;
  select(i);
  graph.focus(i);
}
$("search").addEventListener("keydown", event => {
  const first = $("found").querySelector("button");
  if (event.key === "Enter" && first && !$("found").hidden) first.click();
  if (event.key === "ArrowDown" && first) { event.preventDefault(); first.focus(); }
  if (event.key === "Escape") $("found").hidden = true;
});
document.addEventListener("click", event => { if (!event.target.closest(".search")) $("found").hidden = true; });
document.querySelector(".scroll").addEventListener("keydown", event => { // arrow keys walk through the matrix
  const cell = event.target.closest("td, th"), move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!cell || !move) return;
  const rows = cell.closest("table").rows, next = rows[cell.parentElement.rowIndex + move[0]]?.cells[cell.cellIndex + move[1]]?.querySelector("button");
  if (next) { event.preventDefault(); next.focus(); }
});
window.addEventListener("beforeprint", () => graph.fit());
window.addEventListener("resize", () => graph.place());

state.mark = Number($("mark").value);
if (window.matchMedia("(max-width: 640px)").matches) $("about").open = false;
refresh();
graph.open();
const needy = ranked()[0];
if (!cellOf(0, needy).hidden) { state.concept = needy; evidence(); }
document.documentElement.dataset.ready = "true";
