// The table below the graph: classes side by side, or concepts by need where there is one cohort.

const ROWS = 100; // rows shown before "show all"

const here = i => cellOf(state.cohort, i);
const ORDERS = {
  need: i => here(i).need, mastery: i => here(i).mastery, p: i => here(i).distance, n: i => here(i).n, responses: i => here(i).responses,
  items: i => concepts[i].items, label: i => causeOf(state.cohort, i)?.label || undefined,
  name: i => concepts[i].name, topic: i => concepts[i].topic || undefined,
  order: i => concepts[i].x + concepts[i].y / 1e4,
  stuck: i => cohorts.filter((_, c) => c > 0 && cellOf(c, i).verdict === "stuck").length,
};

// Concepts in the chosen order; those without a number come last.
function ranked() {
  const { by, down } = state.sort, keys = concepts.map((_, i) => ORDERS[by](i)), turn = down ? -1 : 1;
  const compare = (a, b) => {
    if (keys[a] === undefined || keys[b] === undefined) return (keys[a] === undefined) - (keys[b] === undefined);
    return turn * (typeof keys[a] === "string" ? keys[a].localeCompare(keys[b]) : keys[a] - keys[b]);
  };
  return concepts.map((_, i) => i).sort((a, b) => compare(a, b) || a - b);
}

function naming(i) {
  const open = () => { select(i); $("evidence").scrollIntoView({ block: "nearest" }); };
  const look = { type: "button", "data-i": i, class: i === state.concept ? "chosen" : null };
  return make("th", { scope: "row", children: [make("button", { ...look, text: concepts[i].name, on: { click: open } })] });
}

// What a cell of the matrix shows; the picture of the matrix is drawn from this too.
function matrixLook(c, i) {
  const cell = cellOf(c, i);
  if (cell.hidden) {
    const covered = cell.hidden === "suppressed";
    return { kind: covered ? " hidden cover" : " hidden few", text: covered ? "···" : "–", words: words(i, cell, c) };
  }
  const stuck = cell.verdict === "stuck", look = paintOf(c, i, cell), letter = look.badge ? `${look.badge.letter} ` : "";
  const text = `${letter}${percent(cell.mastery)}${stuck ? " ●" : ""}`, label = look.badge ? ` cause ${causeOf(c, i).label}` : "";
  return { kind: (stuck ? " stuck" : "") + label, text, stuck, fill: look.fill, ink: look.text, words: words(i, cell, c) };
}

// Give a button of the matrix the look of its cell as it is now; what has not changed is not touched, so that nothing is laid out for it.
function dress(box, c, i) {
  const look = matrixLook(c, i), { kind, text, fill, ink: textInk, words: label } = look, before = box.dressed || {};
  if (kind !== before.kind) box.className = "cell" + kind;
  if (text !== before.text) box.textContent = text;
  if (label !== before.words) {
    box.title = label;
    box.setAttribute("aria-label", label);
  }
  if (fill !== before.fill) box.style.backgroundColor = fill || "";
  if (textInk !== before.ink) box.style.color = textInk || "";
  box.dressed = look;
}

function matrixCell(c, i) {
  const open = () => {
    show(c);
    select(i);
    $("matrix").querySelector(`[data-cell="${c},${i}"]`)?.focus({ preventScroll: true }); // the rows may stand in another order now
  };
  const box = make("button", { type: "button", tabindex: -1, "data-cell": `${c},${i}`, on: { click: open } });
  dress(box, c, i);
  return make("td", { children: [box] });
}

let matrixRows = ""; // the concepts of the rows that stand there
const rowOf = new Map(); // each row that was made, for the next order

function matrixRow(i) {
  if (!rowOf.has(i)) rowOf.set(i, make("tr", { children: [naming(i), ...cohorts.map((_, c) => matrixCell(c, i))] }));
  else rowOf.get(i).querySelectorAll(".cell").forEach((box, c) => dress(box, c, i));
  rowOf.get(i).querySelector("th button").classList.toggle("chosen", i === state.concept);
  return rowOf.get(i);
}

function matrix(shown) {
  const rows = shown.map(matrixRow);
  if (matrixRows === shown.join()) return; // the same rows have changed their looks, and what has the focus keeps it
  matrixRows = shown.join();
  if (!$("matrix").tHead) {
    const names = cohorts.map((_, c) => cohortName(c));
    const heads = names.map(text => make("th", { scope: "col", title: text, children: [make("span", { text })] }));
    const head = make("tr", { children: [make("th", { text: "Concept" }), ...heads] });
    $("matrix").replaceChildren(make("thead", { children: [head] }), make("tbody"));
  }
  $("matrix").tBodies[0].replaceChildren(...rows);
}

const COLUMNS = [
  ["name", "Concept"], ["topic", "Topic", "wide-only"], ["mastery", "Mastery and interval"], ["need", "Need (points)", "number"],
  ["p", "P(below mark)", "number"], ...(DATA.causes ? [["label", "Associated with", "wide-only"]] : []),
  ["n", "Learners", "number wide-only"], ["responses", "Responses", "number wide-only"],
  ["items", "Items", "number wide-only"],
];

function columnHead([by, text, kind]) {
  const on = state.sort.by === by, arrow = state.sort.down ? " ↓" : " ↑", low = ["name", "topic", "mastery", "label"].includes(by);
  const sort = () => {
    state.sort = { by, down: on ? !state.sort.down : !low };
    table();
    $("list").querySelector("th[aria-sort] button")?.focus();
  };
  const button = make("button", { type: "button", text: text + (on ? arrow : ""), on: { click: sort } });
  const order = on ? (state.sort.down ? "descending" : "ascending") : null;
  const span = by === "mastery" ? 2 : null;
  return make("th", { scope: "col", class: kind || null, colspan: span, "aria-sort": order, children: [button] });
}

function listRow(i) {
  const cell = here(i), number = (text, kind = "") => make("td", { class: `number ${kind}`, text });
  const start = [naming(i), make("td", { class: "topic wide-only", text: concepts[i].topic || "" })];
  const middle = cell.hidden ? [make("td", { colspan: 2, class: "none", text: cell.hidden }), number(""), number("")]
    : [make("td", { children: [dots(cell, 20)] }), number(`${percent(cell.mastery)} %${cell.verdict === "stuck" ? " ●" : ""}`),
      number(percent(cell.need)), number(probability(cell))];
  const label = causeOf(state.cohort, i)?.label, letters = label ? `${CAUSES[label].letter} ${CAUSES[label].name}` : "";
  const told = DATA.causes ? [make("td", { class: "wide-only", text: letters })] : [];
  const counts = [cell.n ?? "", cell.responses ?? "", concepts[i].items].map(count => number(count, "wide-only"));
  return make("tr", { children: [...start, ...middle, ...told, ...counts] });
}

function table() {
  const order = ranked(), shown = state.all ? order : order.slice(0, ROWS);
  if ($("matrix")) matrix(shown);
  else {
    const head = make("tr", { children: COLUMNS.map(columnHead) });
    $("list").replaceChildren(make("thead", { children: [head] }), make("tbody", { children: shown.map(listRow) }));
  }
  $("more").hidden = shown.length === order.length;
  $("more").textContent = `Show all ${order.length} concepts`;
}
