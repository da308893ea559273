// The page put together: graph and legend; choosing a cohort, a mark, a colouring and a concept; keys; print.

startEditing();
const graph = new ConceptGraph($("graph"), concepts, graphEdges, select);

// ---- what is chosen ------------------------------------------------------------------------------

function paint() {
  const counts = { stuck: 0, unsure: 0, above: 0, hidden: 0 };
  graph.paint(concepts.map((_, i) => {
    const cell = cellOf(state.cohort, i);
    counts[cell.verdict || "hidden"] += 1;
    const look = { hidden: Boolean(cell.hidden), stuck: cell.verdict === "stuck", words: words(i, cell) };
    if (cell.hidden) return { ...look, fill: cell.hidden === "suppressed" ? "#e4e8ec" : "url(#hatch)", text: "#4b5763" };
    return { ...look, ...paintOf(state.cohort, i, cell) };
  }));
  for (const name in counts) $(`n-${name}`).textContent = counts[name];
  $("mark-value").textContent = `${percent(state.mark)} %`;
  cohortTold();
  $("shown").textContent = `${cohortName(state.cohort)}, mark ${percent(state.mark)} %`;
  if (DATA.causes) {
    $("off-mark").hidden = state.mark === rules.fail;
    $("off-mark-said").textContent = `Labels and shares were computed with a mark of ${percent(rules.fail)} %. ` +
      `At ${percent(state.mark)} % they are not computed again: other cohorts may count as stuck.`;
  }
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
  const looks = state.colour === "mastery" ? [make("span", { children: ["below the mark", bar, "above"] })]
    : [make("span", { text: "A gap is associated with:" }), ...Object.values(CAUSES).map(cause => make("span", { children: [badge(cause), cause.name] }))];
  $("legend").replaceChildren(...looks, ...KEYS.map(({ text, ...look }) => {
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
  tellEdits();
}

function setMark(mark) {
  state.mark = mark;
  $("mark").value = mark;
  refresh();
  if (edits.length) tellEdits();
  if ($("compare")) compare();
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
}

// ---- keys and print ------------------------------------------------------------------------------

// Arrow keys walk through the matrix.
function walk(event) {
  const cell = event.target.closest("td, th");
  const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!cell || !move) return;
  const row = cell.closest("table").rows[cell.parentElement.rowIndex + move[0]];
  const next = row?.cells[cell.cellIndex + move[1]]?.querySelector("button");
  if (next) { event.preventDefault(); next.focus(); }
}

// Escape closes what is open, the nearest first; then it lets go of the concept.
function letGo(event) {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  const menu = $("exports"), folded = event.target.closest?.("details.card");
  if (!$("found").hidden) $("found").hidden = true;
  else if (menu.open) { menu.open = false; menu.querySelector("summary").focus(); }
  else if (folded?.open) { folded.open = false; folded.querySelector("summary").focus(); }
  else if (state.concept !== null) select(null);
}

let unfolded = []; // what was opened for print alone

function beforePrint() {
  unfolded = [...document.querySelectorAll("details:not([open]):not(#exports):not(.whom *)")].filter(details => details.id !== "editing" || edits.length);
  for (const details of unfolded) details.open = true;
  if ($("compare")) compare();
  graph.fit();
}

// ---- begin ---------------------------------------------------------------------------------------

cohorts.forEach((_, c) => $("cohort").append(make("option", { value: c, text: cohortName(c) })));
$("cohort").addEventListener("change", event => show(Number(event.target.value)));
$("mark").addEventListener("input", event => setMark(Number(event.target.value)));
$("off-mark-back")?.addEventListener("click", () => setMark(rules.fail));
$("colour")?.addEventListener("change", event => { state.colour = event.target.value; refresh(); });
$("sort")?.addEventListener("change", event => {
  state.sort = { by: event.target.value, down: ["need", "stuck"].includes(event.target.value) };
  table();
});
$("more").addEventListener("click", () => { state.all = true; table(); });
$("zoom-in").addEventListener("click", () => graph.zoom(1.4));
$("zoom-out").addEventListener("click", () => graph.zoom(1 / 1.4));
$("zoom-fit").addEventListener("click", () => graph.fit());
$("search").addEventListener("input", search);
$("search").addEventListener("keydown", searchKey);
document.addEventListener("keydown", letGo);
document.addEventListener("click", event => {
  if (!event.target.closest(".search")) $("found").hidden = true;
  if (!event.target.closest("#exports")) $("exports").open = false;
});
document.querySelector(".scroll").addEventListener("keydown", walk);
window.addEventListener("beforeprint", beforePrint);
window.addEventListener("afterprint", () => unfolded.forEach(details => { details.open = false; }));
window.addEventListener("resize", () => graph.place());
startComparing();
startExporting();

$("mark").value = state.mark; // a browser may restore an earlier one
if (window.matchMedia("(max-width: 640px)").matches) $("about").open = false;
const neediest = ranked()[0]; // something to read at once: the largest need, where there is a number at all
if (!here(neediest).hidden) state.concept = neediest;
refresh();
tellEdits();
graph.open();
document.documentElement.dataset.ready = "true";
