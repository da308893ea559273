// What a gap is associated with: labels, shares, what-ifs, and the items and answers behind them.

// Each label by letter, shape and colour (the colours of Okabe and Ito 2008, darkened to carry white letters).
const CAUSES = {
  prior_knowledge: { letter: "P", name: "Prior knowledge", colour: "#00619a", tint: "#dbeaf5", path: "M0 -10A10 10 0 1 1 0 10A10 10 0 1 1 0 -10Z",
    short: "associated with prior knowledge", told: "This gap is associated with prerequisites that are not mastered yet." },
  teaching: { letter: "T", name: "Teaching", colour: "#a84300", tint: "#fbe4d3", path: "M-9 -9H9V9H-9Z",
    short: "associated with teaching", told: "This gap is associated with the class: others as well prepared, on the same items, stand better." },
  content: { letter: "C", name: "Content", colour: "#006b4c", tint: "#d6eee4", path: "M0 -12L12 0L0 12L-12 0Z",
    short: "associated with content", told: "This gap is associated with items that mislead or material to look at again." },
  curriculum_wide: { letter: "W", name: "Curriculum-wide", colour: "#8f3a74", tint: "#f4dfec", path: "M-6 -10H6L12 0L6 10H-6L-12 0Z",
    short: "found in most classes", told: "Most classes have this gap, prepared or not: it is associated with the curriculum rather than one class." },
  undetermined: { letter: "?", name: "Undetermined", colour: "#525d69", tint: "#e8ebee", path: "M0 -12L12 9H-12Z",
    short: "undetermined", told: "The data cannot tell what this gap is associated with." },
};
const PARTS = ["prior_knowledge", "teaching", "content"];
const INSTEAD = ["if these prerequisites were mastered", "if the class had a typical effect", "as the items without flaws report it"];
const FLAGS = {
  low_discrimination: "hardly tells apart who knows and who does not", dif: "harder or easier for one group of equal level",
  nonuniform_dif: "tells learners of one group apart less", miskeyed: "the key may be wrong",
  contradicted: "failed by learners who master what builds on it", slip_guess: "slips and guesses outweigh knowledge",
};

function causeOf(cohort, i) {
  const raw = cohorts[cohort].causes[i];
  if (!raw) return null;
  const [label, p, ancestor, shares, instead] = raw;
  return { label, p, ancestor, shares, instead };
}

// A value with its interval on a line between two ends; `at` marks one place, such as the mark or nothing.
function range([value, low, high], [from, to], fill, at) {
  const box = svg("svg", { viewBox: "0 0 200 18", width: "100%", height: 18, preserveAspectRatio: "none", "aria-hidden": "true" });
  const x = v => Math.min(200, Math.max(0, (v - from) / (to - from) * 200));
  svg("line", { x1: 0, x2: 200, y1: 9, y2: 9, stroke: "#dde2e8", "stroke-width": 2 }, box);
  svg("line", { x1: x(at), x2: x(at), y1: 1, y2: 17, stroke: "#1d2733", "stroke-width": 1.2, "stroke-dasharray": "3 2" }, box);
  if (low !== null && high !== null) svg("rect", { x: x(low), width: Math.max(1, x(high) - x(low)), y: 5.5, height: 7, rx: 3, fill, opacity: 0.4 }, box);
  svg("rect", { x: x(value) - 2, width: 4, y: 2, height: 14, rx: 1.5, fill }, box);
  return box;
}

const between = (low, high) => low === null || high === null ? "" : ` (${percent(low)} to ${percent(high)})`;

function bars(rows) {
  return make("ul", { class: "lines bars", children: rows.map(([name, triple, ends, fill, at]) => make("li", { children: [
    make("span", { class: "who", text: name }), range(triple, ends, fill, at),
    make("span", { class: "value", text: `${percent(triple[0])} %${between(triple[1], triple[2])}` })] })) });
}

function badge({ letter, path, colour }) {
  const box = svg("svg", { width: 24, height: 24, viewBox: "-12 -12 24 24", "aria-hidden": "true" });
  badged({ letter, path, colour }, box).removeAttribute("transform");
  return box;
}

const link = (i, text = concepts[i].name) => make("button", { type: "button", class: "link", text, on: { click: () => select(i) } });
const titled = (text, ...parts) => parts.length ? [make("h3", { text }), ...parts] : [];

function labelLine(cause, cell) {
  if (!cause.label) {
    return make("p", { class: "none", text: cell.verdict === "stuck" ? "No label was given." : "No label: only where a cohort is stuck is one given." });
  }
  const { name, told } = CAUSES[cause.label], sure = cause.p === null ? "" : `, probability ${shown(cause.p)}`;
  return make("div", { class: "label", children: [badge(CAUSES[cause.label]), make("p", { children: [make("strong", { text: name + sure }), `. ${told}`] })] });
}

function causes(i, cell) {
  const cause = causeOf(state.cohort, i), level = percent(rules.causeInterval);
  if (!cause) return [];
  const parts = [labelLine(cause, cell)];
  const offMark = state.mark !== rules.fail;
  if (offMark) parts.push(make("p", { class: "badge", text: `Computed for the mark of ${percent(rules.fail)} %, not for ${percent(state.mark)} %.` }));
  const given = PARTS.map((part, k) => [part, cause.shares[k]]).filter(([, triple]) => triple);
  if (given.length) {
    const values = given.flatMap(([, triple]) => triple.filter(v => v !== null)), ends = [Math.min(0, ...values), Math.max(1, ...values)];
    parts.push(make("p", { class: "none", text: `Shares of the need, with ${level} % intervals` }),
      bars(given.map(([part, triple]) => [`${CAUSES[part].letter} ${CAUSES[part].name}`, triple, ends, CAUSES[part].colour, 0])));
  }
  if (cause.ancestor !== null) {
    const note = edits.length ? " (in the graph before your changes)" : "";
    parts.push(make("p", { children: ["First missing prerequisite: ", link(cause.ancestor), note] }));
  }
  const whatIf = INSTEAD.map((name, k) => [name, cause.instead[k]]).filter(([, triple]) => triple);
  const now = ["now", [cell.mastery, cell.low, cell.high], [0, 1], "#525d69", state.mark];
  const told = `Mean mastery the model expects (${level} % intervals; now: ${percent(rules.interval)} %). A what-if is an estimate, not a promise.`;
  return [...titled("What the need is associated with", ...parts), ...(whatIf.length ? titled("What if", make("p", { class: "none", text: told }),
    bars([now, ...whatIf.map(([name, triple]) => [name, triple, [0, 1], "#00619a", state.mark])])) : [])];
}

// Items: share right in this cohort where enough answered, in the whole data, and the flaws found.
function itemLines(i) {
  const here = new Map(evidenceOf(i, "item").map(row => [row.about, row])), screened = new Map((concepts[i].screen || []).map(row => [row[0], row]));
  return [...new Set([...here.keys(), ...screened.keys()])].map(id => {
    const [, flags, group, numbers] = screened.get(id) || [id, [], null, null], own = here.get(id);
    const told = [];
    if (own && own.value !== null) told.push(`here ${percent(own.value)} % right${between(own.low, own.high)}, ${own.n ?? "?"} learners`);
    if (numbers) told.push(`all learners ${numbers[1] === null ? "not known" : `${percent(numbers[1])} % right`}, ${numbers[0]} learners`);
    if (numbers && numbers[2] !== null) told.push(`discrimination ${numbers[2].toFixed(2)}`);
    if (!told.length) told.push("too few answers to show a number");
    const flaws = flags.map(flag => FLAGS[flag] || flag);
    if (group && numbers && numbers[6] !== null && flags.includes("dif")) flaws.push(`group ${group}: MH delta ${numbers[6].toFixed(1)}`);
    flaws.push(...(own?.note || "").split("; ").filter(note => note && !flags.includes(note)).map(note => FLAGS[note] || note));
    return make("li", { class: flaws.length ? "flawed" : null, children: [make("strong", { text: id }), make("span", { text: told.join("; ") }),
      ...flaws.map(text => make("em", { text: `⚑ ${text}` }))] });
  });
}

function evidenceOf(i, kind) {
  const rows = cohorts[state.cohort].evidence[i] || [];
  return rows.filter(row => row[0] === kind).map(([, about, n, value, low, high, note]) => ({ about, n, value, low, high, note }));
}

function evidenceLines(i, kind) {
  return evidenceOf(i, kind).map(({ about, n, value, low, high, note }) => {
    const told = [value === null ? "" : `${percent(value)} %${between(low, high)}`, n === null ? "" : `${n} learners`, note || ""].filter(Boolean).join("; ");
    return make("li", { children: [make("strong", { text: about }), make("span", { text: told })] });
  });
}

function behind(i, cell) {
  const list = (title, lines) => lines.length ? titled(title, make("ul", { class: "behind", children: lines })) : [];
  return [...list("Items", itemLines(i)), ...list("Answers chosen instead of the right one", evidenceLines(i, "distractor")),
    ...list("Compared with", [...evidenceLines(i, "comparison"), ...differenceLines(i, cell)])];
}
