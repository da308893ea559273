// The evidence for one concept, and the table below: classes side by side, or concepts by need where there is one cohort.

const ROWS = 100; // rows shown before "show all"

// ---- evidence ------------------------------------------------------------------------------------

const WHY_HIDDEN = {
  "suppressed": ["Hidden for privacy",
    "There is enough data here, but with this number one could compute that of a smaller group by subtraction."],
  "not enough data": ["Not enough data",
    `Fewer than ${rules.k} learners or ${rules.min_responses} responses: too little to say anything, so no number is shown.`],
};

function neighbours(list, told) {
  if (!list.length) return make("p", { class: "none", text: "none" });
  return make("ul", { class: "lines", children: list.map(i => {
    const cell = cellOf(state.cohort, i), swatch = make("span", { class: "swatch" + (cell.verdict === "stuck" ? " stuck" : "") });
    swatch.style.background = cell.hidden ? "#e4e8ec" : colour(cell.mastery);
    const value = make("span", { class: "value", children: [cell.hidden ? "not shown" : `${percent(cell.mastery)} %`, swatch] });
    const name = make("button", { type: "button", text: concepts[i].name, title: told(i), on: { click: () => select(i) } });
    return make("li", { children: [name, value] });
  }) });
}

function byClass(i) {
  return make("ul", { class: "lines classes", children: cohorts.map((_, c) => {
    const cell = cellOf(c, i), value = cell.hidden ? "—" : `${percent(cell.mastery)} %`;
    const parts = [make("span", { class: "who", text: cohortName(c) }), dots(cell, 20), make("span", { class: "value", text: value })];
    return make("li", { class: c === state.cohort ? "selected" : null, title: words(i, cell, c), children: parts });
  }) });
}

function estimate(concept, cell) {
  const interval = `${percent(rules.interval)} % interval ${percent(cell.low)}–${percent(cell.high)} %`;
  const facts = [["Learners", cell.n], ["Responses", cell.responses], ["Items", concept.items],
    ["Need (points)", `${cell.need > 0 ? "+" : ""}${percent(cell.need)}`], ["P(below)", probability(cell)]];
  return [
    make("span", { class: `chip ${cell.verdict}`, text: VERDICTS[cell.verdict] }),
    make("p", { class: "figure", children: [`${percent(cell.mastery)} %`, make("small", { text: interval })] }),
    dots(cell, 30, 13),
    make("dl", { class: "facts", children: facts.map(([name, value]) =>
      make("div", { children: [make("dt", { text: name }), make("dd", { text: value })] })) }),
  ];
}

function weakPrerequisites(i, cell) {
  const all = graph.prerequisites[i].length, weak = graph.prerequisites[i].filter(k => cellOf(state.cohort, k).verdict === "stuck").length;
  if (cell.verdict !== "stuck" || !weak) return [];
  const which = weak < all ? `${weak} of the ${all} concepts` : all > 1 ? `All ${all} concepts` : "The concept";
  const text = `${which} it builds on ${weak > 1 ? "are" : "is"} stuck too; this gap may be associated with that.`;
  return [make("p", { class: "badge", text })];
}

function evidence() {
  const panel = $("evidence"), i = state.concept;
  if (i === null) {
    const text = "Choose a concept in the graph, in the table or by search to see what its estimate rests on.";
    panel.replaceChildren(make("h2", { text: "Evidence" }), make("p", { class: "none", text }));
    return;
  }
  const concept = concepts[i], cell = cellOf(state.cohort, i), claims = new Map();
  for (const [from, to, weight, source] of edges) {
    if (from === i || to === i) claims.set(from === i ? to : from, `${source}, weight ${weight}`);
  }
  const told = k => claims.get(k);
  const about = [concept.topic, concept.id, cohortName(state.cohort)].filter(Boolean).join(" · ");
  panel.replaceChildren(make("h2", { text: concept.name }), make("p", { class: "topic", text: about }));
  if (cell.hidden) {
    const [title, why] = WHY_HIDDEN[cell.hidden];
    panel.append(make("span", { class: "chip", text: title }), make("p", { text: why }),
      make("p", { class: "none", text: `${concept.items} ${concept.items === 1 ? "item" : "items"} answered` }));
  } else {
    panel.append(...estimate(concept, cell));
    if (concept.badge) {
      const badge = concept.badge[0].toUpperCase() + concept.badge.slice(1);
      panel.append(make("p", { class: "badge", text: `${badge}. With so few items, a hard concept and a flawed item look the same.` }));
    }
  }
  panel.append(...weakPrerequisites(i, cell), make("h3", { text: "Builds on" }), neighbours(graph.prerequisites[i], told),
    make("h3", { text: "Needed for" }), neighbours(graph.dependants[i], told));
  if (cohorts.length > 1) panel.append(make("h3", { text: "By class" }), byClass(i));
}

// ---- matrix or list ------------------------------------------------------------------------------

const here = i => cellOf(state.cohort, i);
const ORDERS = {
  need: i => here(i).need, mastery: i => here(i).mastery, p: i => here(i).distance, n: i => here(i).n, responses: i => here(i).responses,
  items: i => concepts[i].items, name: i => concepts[i].name, topic: i => concepts[i].topic || undefined,
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

function matrixCell(c, i) {
  const cell = cellOf(c, i), label = words(i, cell, c), stuck = cell.verdict === "stuck";
  const kind = cell.hidden === "suppressed" ? " hidden cover" : cell.hidden ? " hidden few" : stuck ? " stuck" : "";
  const text = cell.hidden === "suppressed" ? "···" : cell.hidden ? "–" : `${percent(cell.mastery)}${stuck ? " ●" : ""}`;
  const open = () => { show(c); select(i); };
  const look = { type: "button", tabindex: -1, class: "cell" + kind, "aria-label": label, title: label };
  const box = make("button", { ...look, text, on: { click: open } });
  if (!cell.hidden) {
    box.style.background = colour(cell.mastery);
    box.style.color = ink(cell.mastery);
  }
  return make("td", { children: [box] });
}

function matrix(shown) {
  const names = cohorts.map((_, c) => cohortName(c));
  const heads = names.map(text => make("th", { scope: "col", title: text, children: [make("span", { text })] }));
  const head = make("tr", { children: [make("th", { text: "Concept" }), ...heads] });
  const rows = shown.map(i => make("tr", { children: [naming(i), ...cohorts.map((_, c) => matrixCell(c, i))] }));
  $("matrix").replaceChildren(make("thead", { children: [head] }), make("tbody", { children: rows }));
}

const COLUMNS = [
  ["name", "Concept"], ["topic", "Topic", "wide-only"], ["mastery", "Mastery and interval"], ["need", "Need (points)", "number"],
  ["p", "P(below mark)", "number"], ["n", "Learners", "number wide-only"], ["responses", "Responses", "number wide-only"],
  ["items", "Items", "number wide-only"],
];

function columnHead([by, text, kind]) {
  const on = state.sort.by === by, arrow = state.sort.down ? " ↓" : " ↑", low = ["name", "topic", "mastery"].includes(by);
  const sort = () => { state.sort = { by, down: on ? !state.sort.down : !low }; table(); };
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
  const counts = [cell.n ?? "", cell.responses ?? "", concepts[i].items].map(count => number(count, "wide-only"));
  return make("tr", { children: [...start, ...middle, ...counts] });
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
