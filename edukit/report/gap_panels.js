// The evidence for one concept of one cohort, and what is said where there is none.

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
  const first = firstBelow(i, state.cohort, graph.prerequisites, depths(graph.prerequisites));
  return [make("p", { class: "badge", children: [text, ...(first === null ? [] : [" Earliest prerequisite below the mark: ", link(first)])] })];
}

function hiddenCell(concept, why) {
  const [title, text] = WHY_HIDDEN[why];
  return [make("span", { class: "chip", text: title }), make("p", { text }),
    make("p", { class: "none", text: `${concept.items} ${concept.items === 1 ? "item" : "items"} answered` }),
    ...titled("Learners to talk to", make("p", { class: "none", text: `Not shown: fewer than ${rules.k}, or one could work out a smaller group.` }))];
}

function shownCell(i, concept, cell) {
  const parts = estimate(concept, cell), told = cohorts[state.cohort].texts[i];
  if (told) parts.push(make("p", { class: "told", text: told }), ...writtenFor());
  if (concept.badge) {
    const text = concept.badge[0].toUpperCase() + concept.badge.slice(1);
    parts.push(make("p", { class: "badge", text: `${text}. With so few items, a hard concept and a flawed item look the same.` }));
  }
  return [...parts, ...causes(i, cell), ...weakPrerequisites(i, cell), ...behind(i, cell), ...titled("Learners to talk to", ...whom(i, cell))];
}

// A text was written for one mark: says so where another is chosen.
const writtenFor = () => state.mark === rules.fail ? [] : [make("p", { class: "badge", text: `Written for the mark of ${percent(rules.fail)} %.` })];

// Learners are named only where the page's own server gave them; no saved copy has them, nor one that the browser saves: the server hands them out
// apart from the page, and they stand in a shadow of it, which is not written out with it.
function whom(i, cell) {
  const few = `Fewer than ${rules.k} would not be shown.`, counted = `${cell.n} learners answered here`;
  if (!DATA.learners) return [make("p", { class: "none", text: `${counted}; who they are is not in this file. ${few}` })];
  if (DATA.learners === true) return [make("p", { class: "none", text: `${counted}; who they are is being asked of the server. ${few}` })];
  const { id } = cohorts[state.cohort], named = DATA.learners[id]?.[i] || [];
  const none = id === "all" ? "choose a class to see whom."
    : "none is named, as the class is not stuck here or nobody is expected below the mark.";
  if (!named.length) return [make("p", { class: "none", text: `${counted}; ${none} ${few}` })];
  const told = `${counted}. Furthest below the mark of ${percent(rules.fail)} %, by what the model expects of each; this supports a talk and ` +
    "appraises nobody. Named on this page only: what is saved or printed from it holds no learner.";
  const place = make("div", { class: "named" });
  place.attachShadow({ mode: "open" }).append(document.querySelector("style").cloneNode(true), make("div", { class: "whom",
    children: named.map(([learner, mastery, text]) => make("details", { children: [
      make("summary", { text: `${learner}: ${percent(mastery)} %` }), make("p", { class: "told", text })] })) }));
  return [make("p", { class: "none", text: told }), place];
}

// The cohort in words, above the graph.
function cohortTold() {
  const text = cohorts[state.cohort].told, place = $("cohort-told");
  place.hidden = !text;
  if (text) place.replaceChildren(make("p", { text }), ...writtenFor());
}

function evidence() {
  const panel = $("evidence"), i = state.concept, inside = panel.contains(document.activeElement);
  if (i === null) {
    const text = "Choose a concept in the graph, in the table or by search to see what its estimate rests on.";
    panel.replaceChildren(make("h2", { text: "Evidence" }), make("p", { class: "none", text }));
    if (inside) panel.focus({ preventScroll: true });
    return;
  }
  const concept = concepts[i], cell = cellOf(state.cohort, i), claims = new Map();
  for (const [from, to, weight, source] of graphEdges) {
    if (from === i || to === i) claims.set(from === i ? to : from, `${source}, weight ${weight}`);
  }
  const told = k => claims.get(k);
  const about = [concept.topic, concept.id, cohortName(state.cohort)].filter(Boolean).join(" · ");
  const change = make("button", { type: "button", class: "link", text: "Change what it builds on", on: { click: () => openEditing(i) } });
  const noGraph = graphEdges.length ? [] : [make("p", { class: "badge", text: "Without a graph prior knowledge cannot be judged." })];
  panel.replaceChildren(make("h2", { text: concept.name }), make("p", { class: "topic", text: about }),
    ...(cell.hidden ? hiddenCell(concept, cell.hidden) : shownCell(i, concept, cell)), ...noGraph,
    make("h3", { text: "Builds on" }), neighbours(graph.prerequisites[i], told), make("p", { class: "change", children: [change] }),
    make("h3", { text: "Needed for" }), neighbours(graph.dependants[i], told));
  if (cohorts.length > 1) panel.append(make("h3", { text: "By class" }), byClass(i));
  if (concept.told) panel.append(make("h3", { text: "This concept in all classes" }), make("p", { class: "told", text: concept.told }), ...writtenFor());
  if (inside) panel.focus({ preventScroll: true }); // what was chosen here is gone: the keyboard stays in the panel
}
