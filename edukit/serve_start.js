"use strict";
// The start page: each step is one request to this server; text from data is only ever set as text.

const $ = id => document.getElementById(id);
const state = { id: null, look: null, known: null, kind: "none", edges: [], map: null };
const JSON_TYPE = { "content-type": "application/json" };

function make(tag, { text, on = {}, children = [], ...fields } = {}) {
  const node = Object.assign(document.createElement(tag), fields);
  if (text !== undefined) node.textContent = text;
  for (const name in on) node.addEventListener(name, on[name]);
  node.append(...children);
  return node;
}

async function ask(method, path, body, headers = {}) {
  let answer, found;
  try {
    answer = await fetch(path, { method, body, headers, credentials: "same-origin" });
    found = await answer.json();
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  if (!answer.ok) throw new Error(found.error ?? `The server answered ${answer.status}.`);
  return found;
}

const send = (method, path, content) => ask(method, path, JSON.stringify(content), JSON_TYPE);
const upload = (method, path, file) => ask(method, `${path}?name=${encodeURIComponent(file.name)}`, file, { "content-type": "application/octet-stream" });
const own = path => `/projects/${state.id}${path}`;

function fault(words) {
  $("fault").textContent = words;
  $("fault").hidden = !words;
  if (words) $("fault").scrollIntoView({ block: "center" });
}

// Runs one step: what was told before goes, buttons wait, an error is shown in words.
async function step(work) {
  fault("");
  document.body.setAttribute("aria-busy", "true");
  const buttons = [...document.querySelectorAll("button:not(#stop)")].filter(button => !button.disabled);
  buttons.forEach(button => { button.disabled = true; });
  try {
    return await work();
  } catch (error) {
    fault(error.message);
  } finally {
    buttons.forEach(button => { button.disabled = false; });
    document.body.removeAttribute("aria-busy");
  }
}

// ---- 1. the file -----------------------------------------------------------------------------------

function begin() {
  for (const name of ["step-columns", "step-graph", "step-map", "known", "made", "earlier", "delete", "progress"]) $(name).hidden = true;
  Object.assign(state, { id: null, look: null, known: null, edges: [], map: null });
  $("file-name").textContent = "";
  $("progress-words").textContent = "";
}

function taken(name) {
  $("file-name").textContent = name;
  $("delete").hidden = false;
  history.replaceState(null, "", `#${state.id}`);
}

const dropped = file => step(async () => {
  begin();
  $("file-name").textContent = `reading ${file.name} …`;
  try {
    const found = await upload("POST", "/projects", file);
    state.id = found.id;
    taken(found.name);
    columns(found);
  } catch (error) {
    $("file-name").textContent = "";
    throw error;
  }
});

const forget = () => step(async () => {
  await ask("DELETE", own(""));
  begin();
  history.replaceState(null, "", location.pathname);
  $("file-name").textContent = "Deleted: the file and everything made of it.";
});

// ---- 2. the columns --------------------------------------------------------------------------------

const option = (value, text, chosen) => make("option", { value, text, selected: value === chosen });

function columns(look) {
  state.look = look;
  $("step-columns").hidden = false;
  $("kind").replaceChildren(...Object.entries(look.kinds).map(([value, text]) => option(value, text, look.kind)));
  $("sheet").replaceChildren(...look.sheets.map(name => option(name, name, look.sheet)));
  $("sheet-label").hidden = look.sheets.length < 2;
  $("columns-words").textContent = look.columns.length
    ? `${look.size.toLocaleString("en")} rows; the first ${look.rows.length} are shown. Above each column stands what it is taken for: put right what is wrong.`
    : "The columns of such a file are known; there is nothing to choose.";
  const heads = look.columns.map((column, i) => make("th", { scope: "col", children: [
    make("span", { text: column.name }),
    make("select", { ariaLabel: `what ${column.name} holds`, children: [option("", "not used", column.meaning),
      ...Object.entries(look.meanings).map(([value, text]) => option(value, text, column.meaning))], on: { change: () => { heads[i].lastChild.textContent = ""; } } }),
    make("small", { text: column.sure })] }));
  const rows = look.rows.map(row => make("tr", { children: row.map(text => make("td", { text })) }));
  $("columns").replaceChildren(make("thead", { children: [make("tr", { children: heads })] }), make("tbody", { children: rows }));
}

const again = () => step(async () => {
  const sheet = state.look.sheets.length ? $("sheet").value : null;
  columns(await send("POST", own("/look"), { kind: $("kind").value, sheet }));
});

const confirmed = () => step(async () => {
  const meanings = [...document.querySelectorAll("#columns thead select")].map(select => select.value);
  const sheet = state.look.sheets.length ? $("sheet").value : null;
  known(await send("PUT", own("/columns"), { kind: $("kind").value, sheet, meanings }));
});

function known(found) {
  state.known = found;
  $("known").hidden = false;
  $("known-notes").replaceChildren(...found.notes.map(text => make("li", { text })));
  $("known-lines").textContent = found.lines.join("\n");
  $("no-concepts").hidden = found.allows.several_items_per_concept || found.concepts.some(concept => concept.items > 1);
  state.edges = [];
  for (const name of ["edge-concept", "edge-requires"]) {
    $(name).replaceChildren(option("", "choose", ""), ...found.concepts.map(concept => option(concept.id, concept.name)));
  }
  panels("none");
  $("graph-words").textContent = "";
  for (const name of ["step-graph", "step-map"]) $(name).hidden = false;
}

// ---- 3. the graph ----------------------------------------------------------------------------------

const nameOf = id => state.known.concepts.find(concept => concept.id === id)?.name ?? id;

// Shows what belongs to a way to prerequisites, and marks it as the one chosen.
function panels(kind) {
  state.kind = kind;
  document.querySelector(`input[name=graph][value=${kind}]`).checked = true;
  $("graph-none").hidden = kind !== "none";
  $("graph-file").hidden = kind !== "file";
  $("graph-names").hidden = kind !== "names";
  $("editor").hidden = !["draw", "names"].includes(kind) && !state.edges.length;
}

function listed() {
  $("edges").replaceChildren(...state.edges.map((edge, i) => make("li", { children: [
    make("strong", { text: nameOf(edge.concept_id) }), " builds on ", make("strong", { text: nameOf(edge.requires_id) }),
    `: ${edge.rationale ?? "no reason given"}${edge.source ? ` (${edge.source})` : ""}`,
    make("button", { type: "button", className: "quiet", text: "take out", ariaLabel: `take out ${nameOf(edge.concept_id)} builds on ${nameOf(edge.requires_id)}`,
      on: { click: () => { state.edges.splice(i, 1); notYet(); } } })] })));
}

function notYet() {
  $("graph-words").textContent = "Not used yet.";
  listed();
}

function chosen(found, words) {
  state.edges = found.edges;
  listed();
  const count = found.edges.length === 1 ? "1 prerequisite is" : `${found.edges.length} prerequisites are`;
  $("graph-words").textContent = [words ?? `${count} used.`, ...(found.notes ?? [])].join(" ");
}

const pair = edge => JSON.stringify([edge.concept_id, edge.requires_id]);

// Only "none" takes prerequisites away, and asks first.
const graphKind = kind => step(async () => {
  if (kind === "none") {
    if (state.edges.length && !window.confirm(`Drop ${state.edges.length} prerequisites with their reasons?`)) return panels(state.kind);
    chosen(await send("PUT", own("/edges"), { edges: [] }), " ");
  }
  if (kind === "names") {
    const found = await ask("GET", own("/suggestion")), there = new Set(state.edges.map(pair));
    const fresh = found.edges.filter(edge => !there.has(pair(edge))).map(edge => ({ ...edge, source: "suggested from names" }));
    state.edges = [...state.edges, ...fresh];
    if (fresh.length) notYet();
    else $("graph-words").textContent = "No two names are alike enough to suggest anything more.";
  }
  panels(kind);
});

function addEdge() {
  const edge = { concept_id: $("edge-concept").value, requires_id: $("edge-requires").value, rationale: $("edge-why").value.trim() };
  if (!edge.concept_id || !edge.requires_id || edge.concept_id === edge.requires_id) return fault("Choose two different concepts.");
  if (!edge.rationale) return fault("Say in a few words why the one builds on the other.");
  fault("");
  state.edges = [...state.edges.filter(other => pair(other) !== pair(edge)), edge];
  $("edge-why").value = "";
  notYet();
}

const useEdges = () => step(async () => chosen(await send("PUT", own("/edges"), { edges: state.edges })));

const graphFile = file => step(async () => {
  chosen(await upload("PUT", own("/graph"), file));
  $("editor").hidden = false;
});

// ---- 4. the map ------------------------------------------------------------------------------------

const makeMap = () => step(async () => {
  $("made").hidden = true;
  const begun = await ask("POST", own("/map"));
  await follow(begun.map);
});

async function follow(map) {
  state.map = map;
  $("stop").hidden = false;
  $("make").disabled = true;
  $("progress").hidden = false;
  try {
    for (;;) {
      const found = await ask("GET", `/maps/${map}/progress`);
      $("progress").textContent = found.lines.join("\n");
      $("progress").scrollTop = $("progress").scrollHeight;
      const last = found.lines.at(-1) ?? "starting";
      if (found.state === "waiting") $("progress-words").textContent = `Waiting: ${found.ahead} before this one.`;
      else if (found.state === "running") $("progress-words").textContent = `Working: ${last}`;
      else if (found.state === "done") return await done(map);
      else {
        $("progress-words").textContent = found.state === "stopped" ? "Stopped; nothing was left of it." : "There is no map.";
        if (found.error) throw new Error(found.error);
        return;
      }
      await new Promise(wait => setTimeout(wait, 500));
    }
  } finally {
    $("stop").hidden = true;
    $("make").disabled = false;
  }
}

async function done(map) {
  const about = await ask("GET", `/maps/${map}/about`);
  $("progress-words").textContent = "The map is ready.";
  $("progress").hidden = true;
  $("open-map").href = `/maps/${map}`;
  $("made-words").textContent = about.graph ? "" : "It was made without prerequisites: prior knowledge cannot be judged on it.";
  $("made-words").className = about.graph ? "" : "caution";
  const files = Object.values(about.files).map(name => make("a", { href: `/maps/${map}/files/${encodeURIComponent(name)}`, text: name, download: name }));
  $("saves").replaceChildren(...files);
  $("names").href = own("/names.csv");
  $("made").hidden = false;
  const all = await ask("GET", own(""));
  $("earlier-list").replaceChildren(...all.maps.map(id => make("li", { children: [make("a", { href: `/maps/${id}`, text: `map ${id.split("-")[1]}` })] })));
  $("earlier").hidden = all.maps.length < 2;
}

// ---- begin -----------------------------------------------------------------------------------------

const resume = id => step(async () => {
  state.id = id;
  const found = await ask("GET", own(""));
  taken(found.name);
  const look = await send("POST", own("/look"), { kind: found.confirmed?.kind ?? "auto", sheet: found.sheet ?? null });
  if (found.meanings) look.columns.forEach((column, i) => Object.assign(column, { meaning: found.meanings[i], sure: "as you said" }));
  columns(look);
  if (!found.known) return;
  known(found.known);
  if (found.edges.length) { chosen(found); panels("draw"); }
  if (found.going.length) await follow(found.going[0]);
  else if (found.maps.length) await done(found.maps[0]);
});

const first = event => event.target.files[0];
$("file").addEventListener("change", event => { if (first(event)) dropped(first(event)); });
for (const name of ["dragenter", "dragover"]) $("drop").addEventListener(name, event => { event.preventDefault(); $("drop").classList.add("over"); });
for (const name of ["dragleave", "drop"]) $("drop").addEventListener(name, event => { event.preventDefault(); $("drop").classList.remove("over"); });
$("drop").addEventListener("drop", event => { if (event.dataTransfer.files[0]) dropped(event.dataTransfer.files[0]); });
$("delete").addEventListener("click", forget);
$("kind").addEventListener("change", again);
$("sheet").addEventListener("change", again);
$("confirm").addEventListener("click", confirmed);
$("q-matrix").addEventListener("change", event => { if (first(event)) step(async () => known(await upload("PUT", own("/q_matrix"), first(event)))); });
document.querySelectorAll("input[name=graph]").forEach(radio => radio.addEventListener("change", () => graphKind(radio.value)));
$("graph-input").addEventListener("change", event => { if (first(event)) graphFile(first(event)); });
$("edge-add").addEventListener("click", addEdge);
$("edge-why").addEventListener("keydown", event => { if (event.key === "Enter") addEdge(); });
$("edges-use").addEventListener("click", useEdges);
$("make").addEventListener("click", makeMap);
$("stop").addEventListener("click", () => ask("DELETE", `/maps/${state.map}/progress`).catch(error => fault(error.message)));
if (/^#[0-9a-f]{32}$/.test(location.hash)) resume(location.hash.slice(1));
document.documentElement.dataset.ready = "true";
