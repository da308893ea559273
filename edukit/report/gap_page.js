// The page put together: graph and legend, choosing a cohort, a mark and a concept, and the exports.

const graph = new ConceptGraph($("graph"), concepts, edges, select);

// ---- what is chosen ------------------------------------------------------------------------------

function paint() {
  const counts = { stuck: 0, unsure: 0, above: 0, hidden: 0 };
  graph.paint(concepts.map((_, i) => {
    const cell = cellOf(state.cohort, i);
    counts[cell.verdict || "hidden"] += 1;
    const look = { hidden: Boolean(cell.hidden), stuck: cell.verdict === "stuck", words: words(i, cell) };
    if (cell.hidden) return { ...look, fill: cell.hidden === "suppressed" ? "#e4e8ec" : "url(#hatch)", text: "#4b5763" };
    return { ...look, fill: colour(cell.mastery), text: ink(cell.mastery) };
  }));
  for (const name in counts) $(`n-${name}`).textContent = counts[name];
  $("mark-value").textContent = `${percent(state.mark)} %`;
  $("shown").textContent = `${cohortName(state.cohort)}, mark ${percent(state.mark)} %`;
}

const KEYS = [
  { text: "not enough data", fill: "url(#hatch)", stroke: "#98a3af", "stroke-width": 1, "stroke-dasharray": "4 3" },
  { text: "hidden for privacy", fill: "#e4e8ec", stroke: "#98a3af", "stroke-width": 1, "stroke-dasharray": "4 3" },
  { text: "stuck", fill: "#ffffff", stroke: "#1d2733", "stroke-width": 3 },
];

function colourBar(parent, x, y) {
  for (let k = 0; k < 30; k++) {
    svg("rect", { x: x + k * 5, y, width: 5.2, height: 14, fill: colour(state.mark - SPAN + k / 29 * 2 * SPAN) }, parent);
  }
}

function legend() {
  const bar = svg("svg", { width: 150, height: 14, "aria-hidden": "true" });
  colourBar(bar, 0, 0);
  $("legend").replaceChildren(make("span", { children: ["below the mark", bar, "above"] }), ...KEYS.map(({ text, ...look }) => {
    const box = svg("svg", { width: 30, height: 18, "aria-hidden": "true" });
    svg("rect", { x: 2, y: 2, width: 26, height: 14, rx: 4, ...look }, box);
    return make("span", { children: [box, text] });
  }));
}

function select(i) {
  state.concept = i;
  graph.highlight(i);
  if (i !== null) graph.focus(i, false);
  evidence();
  document.querySelectorAll("tbody th button").forEach(button => button.classList.toggle("chosen", Number(button.dataset.i) === i));
}

function refresh() {
  paint();
  legend();
  evidence();
  table();
}

function show(cohort) {
  state.cohort = cohort;
  $("cohort").value = cohort;
  refresh();
}

// ---- exports -------------------------------------------------------------------------------------

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// Text that a spreadsheet would run as a formula gets an apostrophe; numbers stay numbers.
function field(value) {
  if (typeof value === "number") return String(value);
  return `"${String(value ?? "").replace(/^('*[=+\-@\t\r])/, "'$1").replaceAll('"', '""')}"`;
}

function csv() {
  const rows = [["class_id", "concept_id", "concept", "topic", "state", "n", "responses", "items", "mastery", "low", "high", "need", "mark",
    "p_below_mark", "stuck", "badge"]];
  const short = value => Number(value.toFixed(4));
  cohorts.forEach((cohort, c) => concepts.forEach((concept, i) => {
    const cell = cellOf(c, i), start = [cohort.id, concept.id, concept.name, concept.topic];
    rows.push(cell.hidden ? [...start, cell.hidden, "", "", concept.items, "", "", "", "", state.mark, "", "", concept.badge]
      : [...start, "estimated", cell.n, cell.responses, concept.items, ...[cell.mastery, cell.low, cell.high, cell.need].map(short),
        state.mark, short(normal(cell.distance)), cell.verdict === "stuck" ? "True" : "False", concept.badge]);
  }));
  return "\uFEFF" + rows.map(row => row.map(field).join(",")).join("\r\n") + "\r\n";
}

// The whole graph with title and legend, drawn on a canvas of at most 8000 pixels a side.
function png() {
  const margin = 40, top = 96, width = Math.max(graph.width + 2 * margin, 900), height = graph.height + top + margin;
  const scale = Math.min(2, 8000 / Math.max(width, height));
  const pixels = { width: Math.round(width * scale), height: Math.round(height * scale) };
  const picture = $("graph").cloneNode(true), world = picture.lastElementChild;
  const frame = { xmlns: SVG, ...pixels, viewBox: `0 0 ${width} ${height}`, "font-family": "system-ui, Segoe UI, Arial, sans-serif" };
  picture.removeAttribute("style");
  for (const key in frame) picture.setAttribute(key, frame[key]);
  world.setAttribute("transform", `translate(${margin} ${top})`);
  world.querySelectorAll(".node text").forEach(text => text.setAttribute("display", "inline"));
  world.lastElementChild.remove(); // the captions of the view from afar
  const write = (x, y, size, text) => { svg("text", { x, y, "font-size": size, fill: "#1d2733" }, picture).textContent = text; };
  write(margin, 34, 20, DATA.title);
  write(margin, 58, 14, `${cohortName(state.cohort)} · mark ${percent(state.mark)} %`);
  write(margin, 80, 13, "below the mark");
  colourBar(picture, margin + 108, 69);
  write(margin + 266, 80, 13, "above");
  KEYS.forEach(({ text, ...look }, k) => {
    svg("rect", { x: margin + 340 + k * 170, y: 69, width: 26, height: 14, rx: 4, ...look }, picture);
    write(margin + 374 + k * 170, 80, 13, text);
  });
  const image = new Image(), canvas = make("canvas", pixels);
  image.onload = () => {
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0);
    canvas.toBlob(blob => save(blob, "gap-map.png"), "image/png");
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(picture));
}

// ---- search --------------------------------------------------------------------------------------

function choose(i) {
  $("search").value = concepts[i].name;
  $("found").hidden = true;
  select(i);
  graph.focus(i);
}

function search() {
  const asked = $("search").value.trim().toLowerCase();
  const hits = concepts.map((_, i) => i).filter(i => `${concepts[i].name}\n${concepts[i].id}`.toLowerCase().includes(asked)).slice(0, 8);
  const entries = hits.map(i => make("button", { type: "button", text: concepts[i].name, on: { click: () => choose(i) } }));
  const none = make("p", { text: "No concept of that name." });
  $("found").hidden = !asked;
  $("found").replaceChildren(...(entries.length ? entries : [none]).map(entry => make("li", { children: [entry] })));
}

function searchKey(event) {
  const first = $("found").hidden ? null : $("found").querySelector("button");
  if (event.key === "Enter" && first) first.click();
  if (event.key === "ArrowDown" && first) { event.preventDefault(); first.focus(); }
  if (event.key === "Escape") $("found").hidden = true;
}

// Arrow keys walk through the matrix.
function walk(event) {
  const cell = event.target.closest("td, th");
  const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!cell || !move) return;
  const row = cell.closest("table").rows[cell.parentElement.rowIndex + move[0]];
  const next = row?.cells[cell.cellIndex + move[1]]?.querySelector("button");
  if (next) { event.preventDefault(); next.focus(); }
}

// ---- begin ---------------------------------------------------------------------------------------

cohorts.forEach((_, c) => $("cohort").append(make("option", { value: c, text: cohortName(c) })));
$("cohort").addEventListener("change", event => show(Number(event.target.value)));
$("mark").addEventListener("input", event => { state.mark = Number(event.target.value); refresh(); });
$("sort")?.addEventListener("change", event => {
  state.sort = { by: event.target.value, down: ["need", "stuck"].includes(event.target.value) };
  table();
});
$("more").addEventListener("click", () => { state.all = true; table(); });
$("zoom-in").addEventListener("click", () => graph.zoom(1.4));
$("zoom-out").addEventListener("click", () => graph.zoom(1 / 1.4));
$("zoom-fit").addEventListener("click", () => graph.fit());
$("save-csv").addEventListener("click", () => save(new Blob([csv()], { type: "text/csv;charset=utf-8" }), "gap-map.csv"));
$("save-png").addEventListener("click", png);
$("search").addEventListener("input", search);
$("search").addEventListener("keydown", searchKey);
document.addEventListener("click", event => { if (!event.target.closest(".search")) $("found").hidden = true; });
document.querySelector(".scroll").addEventListener("keydown", walk);
window.addEventListener("beforeprint", () => graph.fit());
window.addEventListener("resize", () => graph.place());

state.mark = Number($("mark").value);
if (window.matchMedia("(max-width: 640px)").matches) $("about").open = false;
const neediest = ranked()[0]; // something to read at once: the largest need, where there is a number at all
if (!here(neediest).hidden) state.concept = neediest;
refresh();
graph.open();
document.documentElement.dataset.ready = "true";
