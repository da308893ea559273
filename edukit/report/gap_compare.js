// Two cohorts side by side: each with its interval, and the difference with its own, concept by concept.

const compared = { a: 0, b: 1, by: "difference", down: true, all: false };

const part = (...pair) => pair.map(c => ({ c, whole: cohorts[c].id === "all", term: cohorts[c].term }));

// Variance of the difference of two means. Learners of different cohorts are taken as different people; where one cohort is the whole of
// which the other is a part, they share learners: cov(part, whole) = n_part / n_whole * var(part).
function differenceError(a, b, [one, other]) {
  const independent = a.se ** 2 + b.se ** 2;
  if (one.whole === other.whole || one.term !== other.term) return Math.sqrt(independent);
  const [small, large] = one.whole ? [b, a] : [a, b];
  return Math.sqrt(Math.max(0, independent - 2 * Math.min(1, small.n / large.n) * small.se ** 2));
}

// One concept in two cohorts; without a difference where either is hidden.
function difference(i, one, other) {
  const a = cellOf(one, i), b = cellOf(other, i);
  if (a.hidden || b.hidden) return { i, a, b };
  const points = a.mastery - b.mastery, reach = rules.zInterval * differenceError(a, b, part(one, other));
  return { i, a, b, difference: points, low: Math.max(-1, points - reach), high: Math.min(1, points + reach) };
}

const comparison = () => concepts.map((_, i) => difference(i, compared.a, compared.b));

// The cohort that is shown minus every other that is shown too, with intervals: for the evidence of one concept.
function differenceLines(i, cell) {
  if (cell.hidden || cohorts[state.cohort].id === "all") return [];
  const given = new Set(evidenceOf(i, "comparison").map(({ about }) => about));
  const others = cohorts.map((_, c) => c).filter(c => c !== state.cohort && !given.has(cohorts[c].id));
  return others.map(c => ({ c, ...difference(i, state.cohort, c) })).filter(row => row.difference !== undefined).map(row => {
    const interval = `${percent(rules.interval)} % interval ${signed(row.low)} to ${signed(row.high)}`;
    const text = `here ${signed(row.difference)} points (${interval})${apart(row) ? " ◆" : ""}`;
    return make("li", { children: [make("strong", { text: cohortName(row.c) }), make("span", { text })] });
  });
}

function comparedRows() {
  const key = { difference: row => row.difference, a: row => row.a.mastery, b: row => row.b.mastery, name: row => concepts[row.i].name }[compared.by];
  const turn = compared.down ? -1 : 1, missing = row => key(row) === undefined;
  return comparison().sort((one, other) => {
    if (missing(one) || missing(other)) return missing(one) - missing(other) || one.i - other.i;
    const [x, y] = [key(one), key(other)];
    return turn * (typeof x === "string" ? x.localeCompare(y) : x - y) || one.i - other.i;
  });
}

function signed(value) {
  const points = percent(Math.abs(value));
  return points === 0 ? "0" : `${value > 0 ? "+" : "−"}${points}`;
}

const apart = row => row.low > 0 || row.high < 0;

function comparedCell(cell) {
  if (cell.hidden) return [make("td", { class: "none", text: cell.hidden === "suppressed" ? "hidden" : "not enough data" })];
  return [make("td", { class: "number", children: [make("b", { text: `${percent(cell.mastery)} %` }),
    make("small", { text: ` ${percent(cell.low)}–${percent(cell.high)}` }), dots(cell, 16)] })];
}

function comparedRow(row) {
  const { i, a, b, difference, low, high } = row;
  const told = difference === undefined ? [make("td", { class: "none", text: "cannot be told" })]
    : [make("td", { class: "number", children: [make("b", { text: `${signed(difference)}${apart(row) ? " ◆" : ""}` }),
      make("small", { text: ` ${signed(low)} to ${signed(high)}` }), range([difference, low, high], [-0.6, 0.6], "#525d69", 0)] })];
  const open = make("button", { type: "button", "data-i": i, text: concepts[i].name, on: { click: () => select(i) } });
  const name = make("th", { scope: "row", children: [open] });
  return make("tr", { children: [name, ...comparedCell(a), ...comparedCell(b), ...told] });
}

function comparedHead(by, text) {
  const on = compared.by === by;
  const sort = () => {
    Object.assign(compared, { by, down: on ? !compared.down : by !== "name" });
    compare();
    $("compared").querySelector("th[aria-sort] button")?.focus();
  };
  const button = make("button", { type: "button", text: text + (on ? (compared.down ? " ↓" : " ↑") : ""), on: { click: sort } });
  return make("th", { scope: "col", "aria-sort": on ? (compared.down ? "descending" : "ascending") : null, children: [button] });
}

function compare() {
  if (!$("compare").open) return;
  const rows = comparedRows(), told = rows.filter(row => row.difference !== undefined), far = told.filter(apart).length;
  const shownRows = compared.all ? rows : rows.slice(0, ROWS), chance = Math.round(told.length * (1 - rules.interval) * 10) / 10;
  $("compare-said").textContent = compared.a === compared.b ? "Choose two different cohorts." :
    `${told.length} of ${rows.length} concepts can be compared; in ${far} the ${percent(rules.interval)} % interval of the difference leaves out 0 (◆). ` +
    `By chance alone about ${chance} would. Intervals of two cohorts that overlap are no proof that they are alike, nor is ◆ a proof of its reason.`;
  const head = [["name", "Concept"], ["a", cohortName(compared.a)], ["b", cohortName(compared.b)], ["difference", "Difference (points)"]];
  $("compared").replaceChildren(make("thead", { children: [make("tr", { children: head.map(([by, text]) => comparedHead(by, text)) })] }),
    make("tbody", { children: shownRows.map(comparedRow) }));
  $("compare-more").hidden = shownRows.length === rows.length;
  $("compare-more").textContent = `Show all ${rows.length} concepts`;
}

function comparedTable() {
  const head = ["concept_id", "concept", "cohort_a", "mastery_a", "low_a", "high_a", "cohort_b", "mastery_b", "low_b", "high_b", "difference",
    "difference_low", "difference_high"];
  const numbers = cell => cell.hidden ? ["", "", ""] : [cell.mastery, cell.low, cell.high].map(short);
  return [head, ...comparedRows().map(({ i, a, b, difference, low, high }) => [concepts[i].id, concepts[i].name, cohortName(compared.a), ...numbers(a),
    cohortName(compared.b), ...numbers(b), ...(difference === undefined ? ["", "", ""] : [difference, low, high].map(short))])];
}

function startComparing() {
  if (!$("compare")) return;
  compared.a = cohorts.length > 2 ? 1 : 0;
  compared.b = compared.a + 1;
  for (const side of ["a", "b"]) {
    const chooser = $(`compare-${side}`);
    cohorts.forEach((_, c) => chooser.append(make("option", { value: c, text: cohortName(c) })));
    chooser.value = compared[side];
    chooser.addEventListener("change", () => { compared[side] = Number(chooser.value); compare(); });
  }
  $("compare").addEventListener("toggle", compare);
  $("compare-more").addEventListener("click", () => { compared.all = true; compare(); });
  $("save-compared").addEventListener("click", () => save(new Blob([commaSeparated(comparedTable())], { type: "text/csv;charset=utf-8" }), "comparison.csv"));
}
