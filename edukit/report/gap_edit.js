// Changing the graph with a reason: what an edge does to the layers and to the first prerequisite below the mark is shown at once.

const edits = []; // {kind: "add" or "remove", from, to, reason, time}, oldest first
let graphEdges = []; // what is drawn: the edges of the file with the edits

for (const concept of concepts) Object.assign(concept, { x0: concept.x, y0: concept.y });

// One edge per pair of concepts, with the largest weight and every source, as the file has them and as they are after the edits.
function edgesNow(changes) {
  const found = new Map(), key = (from, to) => `${from}>${to}`;
  for (const [from, to, { weight, source }] of DATA.claims) {
    const edge = found.get(key(from, to)) || [from, to, 0, []];
    edge[2] = Math.max(edge[2], weight);
    if (!edge[3].includes(source)) edge[3].push(source);
    found.set(key(from, to), edge);
  }
  for (const { kind, from, to, reason } of changes) {
    if (kind === "remove") found.delete(key(from, to));
    else found.set(key(from, to), [from, to, 1, [`added here: ${reason}`], true]);
  }
  return [...found.values()].map(([from, to, weight, sources, fresh]) => [from, to, Number(weight.toFixed(3)), sources.sort().join(", "), fresh]);
}

function parentsOf(edges) {
  const parents = concepts.map(() => []);
  for (const [from, to] of edges) parents[to].push(from);
  return parents;
}

// Number of the layer of each concept, from 0: the longest way from a concept without prerequisites. In a circle one edge is ignored.
function depths(parents) {
  const depth = concepts.map(() => -1), open = new Set();
  const visit = i => {
    if (depth[i] >= 0) return depth[i];
    open.add(i);
    const before = parents[i].filter(p => !open.has(p)).map(visit);
    open.delete(i);
    return depth[i] = before.length ? 1 + Math.max(...before) : 0;
  };
  concepts.forEach((_, i) => visit(i));
  return depth;
}

// Places after an edit: every concept stays where it was drawn, moved by as many layers as it gains or loses; prerequisites stay before it.
function arrange(edges) {
  const before = depths(parentsOf(edgesNow([]))), parents = parentsOf(edges), after = depths(parents), columns = new Map();
  const order = concepts.map((_, i) => i).sort((a, b) => after[a] - after[b] || a - b);
  for (const i of order) {
    const earlier = parents[i].filter(p => after[p] < after[i]).map(p => concepts[p].x + 1);
    concepts[i].x = edits.length ? Math.max(0, concepts[i].x0 + after[i] - before[i], ...earlier) : concepts[i].x0;
    concepts[i].y = concepts[i].y0;
    columns.set(concepts[i].x, [...(columns.get(concepts[i].x) || []), i]);
  }
  if (!edits.length) return;
  for (const column of columns.values()) { // no two on one another: down from the top, each at least one row below the last
    column.sort((a, b) => concepts[a].y0 - concepts[b].y0 || a - b);
    column.forEach((i, k) => { if (k) concepts[i].y = Math.max(concepts[i].y, concepts[column[k - 1]].y + 1); });
  }
}

// Everything that can be reached from some concepts along `next`, without them.
function reached(start, next) {
  const found = new Set(), todo = [...start];
  while (todo.length) {
    for (const k of next[todo.pop()]) if (!found.has(k)) { found.add(k); todo.push(k); }
  }
  return found;
}

// Of all a concept builds on, the earliest whose mean mastery lies below the mark; of several in one layer the lowest.
function firstBelow(i, cohort, parents, depth) {
  let best = null, lowest = 1;
  for (const k of reached([i], parents)) {
    const cell = cohorts[cohort].cells[k], mastery = Array.isArray(cell) ? cell[2] : 1;
    if (k === i || mastery >= state.mark || (best !== null && depth[k] > depth[best])) continue;
    if (best === null || depth[k] < depth[best] || mastery < lowest) [best, lowest] = [k, mastery];
  }
  return best;
}

const named = i => i === null ? "none" : concepts[i].name;

// What the edits change, in sentences: layers, and first prerequisites below the mark in the cohort that is shown.
function consequences() {
  const first = edgesNow([]), old = parentsOf(first), now = parentsOf(graphEdges), [before, after] = [depths(old), depths(now)], said = [];
  const changed = new Set(edits.map(({ to }) => to)), later = [first, graphEdges].map(edges => reached(changed, parentsOf(edges.map(([a, b]) => [b, a]))));
  for (const i of new Set([...changed, ...concepts.keys()])) {
    const concept = concepts[i];
    if (before[i] !== after[i]) said.push(`${concept.name}: layer ${before[i] + 1} → ${after[i] + 1}`);
    const touched = changed.has(i) || later.some(concerned => concerned.has(i));
    const [was, is] = touched ? [firstBelow(i, state.cohort, old, before), firstBelow(i, state.cohort, now, after)] : [null, null];
    if (was !== is) said.push(`${concept.name}, ${cohortName(state.cohort)}: earliest prerequisite below the mark ${named(was)} → ${named(is)}`);
  }
  return said;
}

function tellEdits() {
  $("edit-undo").disabled = !edits.length;
  $("edits").replaceChildren(...edits.map(({ kind, from, to, reason }) =>
    make("li", { text: `${kind === "add" ? "Added" : "Removed"}: ${concepts[from].name} → ${concepts[to].name}. Reason: ${reason}` })));
  const said = edits.length ? consequences() : [], most = 40;
  const shownLines = said.length > most ? [...said.slice(0, most), `and ${said.length - most} more`] : said;
  $("changed").replaceChildren(...shownLines.map(text => make("li", { text })));
  $("edit-note").hidden = !edits.length;
  $("edit-note").textContent = `${said.length ? "" : "No layer and no earliest prerequisite below the mark changes. "}Mastery, shares and labels are ` +
    "those of the graph before: they need a new fit with the changed graph.";
  if ($("refit")) $("refit").disabled = !edits.length;
}

function applyEdits() {
  graphEdges = edgesNow(edits);
  arrange(graphEdges);
  graph.connect(graphEdges);
  graph.place();
  graph.highlight(state.concept);
  tellEdits();
  offerEdit();
}

// A way from one concept to another along the edges, or nothing.
function way(from, to, edges) {
  const parents = parentsOf(edges), came = new Map([[to, null]]), todo = [to];
  while (todo.length) {
    const i = todo.shift();
    if (i === from) {
      const path = [];
      for (let k = i; k !== null; k = came.get(k)) path.push(k);
      return path;
    }
    for (const p of parents[i]) if (!came.has(p)) { came.set(p, i); todo.push(p); }
  }
  return null;
}

const chosenEdge = () => [Number($("edit-from").value), Number($("edit-to").value)];
const isEdge = (from, to) => graphEdges.some(([a, b]) => a === from && b === to);

function offerEdit() {
  if (!$("editing").open) return;
  const [from, to] = chosenEdge(), there = isEdge(from, to), circle = !there && way(to, from, graphEdges);
  $("edit-do").textContent = there ? "Remove this edge" : "Add this edge";
  const told = from === to ? "A concept cannot build on itself." : circle
    ? `This edge would close a circle: ${[...circle, to].map(named).join(" → ")}. Remove one of these edges first.` : "";
  $("edit-said").textContent = told;
  $("edit-do").disabled = Boolean(told);
}

function edit() {
  const [from, to] = chosenEdge(), reason = $("edit-reason").value.trim();
  if (!reason) {
    $("edit-said").textContent = "Please give a reason: whoever reads the graph later will want it.";
    $("edit-reason").focus();
    return;
  }
  edits.push({ kind: isEdge(from, to) ? "remove" : "add", from, to, reason, time: new Date().toISOString() });
  $("edit-reason").value = "";
  applyEdits();
  evidence();
}

function undo() {
  edits.pop();
  applyEdits();
  evidence();
  if (!edits.length) $("edit-reason").focus(); // the button that was pressed is off now
}

function openEditing(i = null) {
  $("editing").open = true;
  fillChoices();
  if (i !== null) $("edit-to").value = i;
  offerEdit();
  $("editing").scrollIntoView({ block: "nearest" });
  $("edit-from").focus();
}

function fillChoices() {
  if ($("edit-from").options.length) return;
  const order = concepts.map((_, i) => i).sort((a, b) => concepts[a].name.localeCompare(concepts[b].name) || a - b);
  for (const id of ["edit-from", "edit-to"]) $(id).append(...order.map(i => make("option", { value: i, text: concepts[i].name })));
  if (order.length > 1) $("edit-to").value = order[1];
}

function startEditing() {
  edits.push(...(DATA.edits || []));
  graphEdges = edgesNow(edits);
  arrange(graphEdges);
  $("editing").addEventListener("toggle", () => { fillChoices(); offerEdit(); });
  for (const id of ["edit-from", "edit-to"]) $(id).addEventListener("change", offerEdit);
  $("edit-do").addEventListener("click", edit);
  $("edit-undo").addEventListener("click", undo);
  $("edit-reason").addEventListener("keydown", event => { if (event.key === "Enter" && !$("edit-do").disabled) edit(); });
}
