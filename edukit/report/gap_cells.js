// What a cell says, and how it looks. Everything the page knows comes from the JSON in the file; text reaches the page as text only.

const PRISTINE = document.documentElement.cloneNode(true); // the file as it came, for the copy that can be saved
const DATA = JSON.parse(document.getElementById("data").textContent);
const { concepts, cohorts, rules } = DATA;
const COVER = 1; // a cell without numbers is 0 (not enough data) or this (hidden so that a small one cannot be computed)
const state = { cohort: 0, mark: rules.fail, concept: null, sort: { by: "need", down: true }, all: false, colour: "mastery" };
const $ = id => document.getElementById(id);

function make(name, { text, children = [], on = {}, ...attributes } = {}) {
  const node = document.createElement(name);
  for (const key in attributes) if (attributes[key] !== null) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  for (const key in on) node.addEventListener(key, on[key]);
  node.append(...children);
  return node;
}

function cellOf(cohort, i) {
  const raw = cohorts[cohort].cells[i];
  if (!Array.isArray(raw)) return { hidden: raw === COVER ? "suppressed" : "not enough data" };
  const [n, responses, mastery, low, high, se] = raw;
  const distance = (state.mark - mastery) / Math.max(se, 1e-12); // P(mean mastery < mark) is the normal's share below this
  const verdict = distance >= rules.zStuck ? "stuck" : distance <= -rules.zStuck ? "above" : "unsure";
  return { n, responses, mastery, low, high, se, distance, verdict, need: rules.target - mastery };
}

const VERDICTS = { stuck: "Stuck", unsure: "Unsure", above: "Above the mark" };
const percent = value => Math.floor(value * 100 + 0.5);
const cohortName = cohort => {
  const { id, term } = cohorts[cohort];
  return (id === "all" ? "all learners" : id) + (term ? ` · ${term}` : "");
};

function words(i, cell, cohort = state.cohort) {
  const said = cell.hidden || `mastery ${percent(cell.mastery)} %, ${VERDICTS[cell.verdict].toLowerCase()}`;
  const label = state.colour === "cause" && causeOf(cohort, i)?.label;
  return `${concepts[i].name}, ${cohortName(cohort)}: ${said}${label ? `, ${CAUSES[label].short}` : ""}`;
}

// Normal distribution function (Abramowitz and Stegun 1964, 26.2.17; error below 1e-7).
function normal(z) {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const series = [0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429].reduceRight((sum, c) => t * (c + sum), 0);
  const tail = Math.exp(-z * z / 2) * 0.3989422804 * series;
  return z > 0 ? 1 - tail : tail;
}

function shown(p) {
  return p > 0.995 ? "> .99" : p < 0.005 ? "< .01" : p.toFixed(2).slice(1);
}

const probability = cell => shown(normal(cell.distance));

// Orange below the mark, blue above it, pale at the mark; told apart without red and green, and by lightness at the ends.
const ENDS = { below: [[250, 243, 234], [240, 173, 105], [168, 72, 11]], above: [[240, 245, 249], [133, 178, 214], [24, 82, 130]] };
const SPAN = 0.35; // mastery this far from the mark has the full colour

function shade(value) {
  const side = value < state.mark ? ENDS.below : ENDS.above;
  const t = Math.min(1, Math.abs(value - state.mark) / SPAN) * 2, k = t < 1 ? 0 : 1;
  return side[k].map((from, c) => Math.round(from + (side[k + 1][c] - from) * (t - k)));
}

const colour = value => `rgb(${shade(value).join(",")})`;

function ink(value) {
  const [r, g, b] = shade(value);
  return 0.299 * r + 0.587 * g + 0.114 * b < 140 ? "#ffffff" : "#1d2733";
}

// How a cell that holds a number looks: its mastery as a colour or, on demand, the cause it is associated with.
function paintOf(cohort, i, cell) {
  if (state.colour !== "cause") return { fill: colour(cell.mastery), text: ink(cell.mastery), badge: null };
  const label = causeOf(cohort, i)?.label;
  return { fill: label ? CAUSES[label].tint : "#f8f9f9", text: "#1d2733", badge: label ? CAUSES[label] : null };
}

// One estimate on a line from 0 to 100 %: interval, mean, and the mark.
function dots(cell, height, y = height / 2) {
  const size = { viewBox: `0 0 200 ${height}`, width: "100%", height, preserveAspectRatio: "none" };
  const box = svg("svg", { ...size, "aria-hidden": "true" }), mark = state.mark * 200;
  svg("line", { x1: 0, x2: 200, y1: y, y2: y, stroke: "#dde2e8", "stroke-width": 2 }, box);
  svg("line", { x1: mark, x2: mark, y1: y - 8, y2: y + 8, stroke: "#1d2733", "stroke-width": 1.5, "stroke-dasharray": "3 2" }, box);
  if (cell.hidden) return box;
  const width = Math.max(1, (cell.high - cell.low) * 200), fill = cell.verdict === "stuck" ? "#a8480b" : "#1f5a87";
  svg("rect", { x: cell.low * 200, width, y: y - 3.5, height: 7, rx: 3, fill: "#98a3af" }, box);
  svg("rect", { x: cell.mastery * 200 - 2, width: 4, y: y - 7, height: 14, rx: 1.5, fill }, box);
  return box;
}
