// What can be saved: tables, pictures, the page itself, and the graph. Everything is made here; nothing leaves the machine.

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const saveText = (text, name, type) => save(new Blob([text], { type: `${type};charset=utf-8` }), name);

// ---- tables --------------------------------------------------------------------------------------

// Text that a spreadsheet would run as a formula gets an apostrophe; numbers stay numbers.
function field(value) {
  if (typeof value === "number") return String(value);
  return `"${String(value ?? "").replace(/^('*[=+\-@\t\r])/, "'$1").replaceAll('"', '""')}"`;
}

const short = value => Number(value.toFixed(4));
const commaSeparated = rows => "\uFEFF" + rows.map(row => row.map(field).join(",")).join("\r\n") + "\r\n";

const TRIPLES = [...PARTS, "if_ready", "if_typical_class", "if_clean_items"];

// Every cell of the map, concepts in the order of the table below the graph.
function mapTable() {
  const ends = name => [name, `${name}_low`, `${name}_high`];
  const causeHead = ["cause_mark", "label", "label_probability", "missing_ancestor", ...TRIPLES.flatMap(ends)];
  const causeCells = cause => {
    const triples = cause ? [...cause.shares, ...cause.instead] : TRIPLES.map(() => 0), ancestor = cause?.ancestor ?? null;
    return [cause && rules.fail, cause?.label, cause?.p, ancestor === null ? "" : concepts[ancestor].id, ...triples.flatMap(triple => triple || ["", "", ""])];
  };
  const rows = [["class_id", ...(cohorts.some(c => c.term) ? ["term"] : []), "concept_id", "concept", "topic", "state", "n", "responses", "items", "mastery",
    "low", "high", "need", "mark", "p_below_mark", "stuck", "badge", ...(DATA.causes ? causeHead : [])]], order = ranked();
  cohorts.forEach((cohort, c) => order.forEach(i => {
    const concept = concepts[i], cell = cellOf(c, i), who = [cohort.id, ...(rows[0][1] === "term" ? [cohort.term] : [])];
    const start = [...who, concept.id, concept.name, concept.topic], more = DATA.causes ? causeCells(causeOf(c, i)) : [];
    rows.push(cell.hidden ? [...start, cell.hidden, "", "", concept.items, "", "", "", "", state.mark, "", "", concept.badge, ...more]
      : [...start, "estimated", cell.n, cell.responses, concept.items, ...[cell.mastery, cell.low, cell.high, cell.need].map(short),
        state.mark, short(normal(cell.distance)), cell.verdict === "stuck" ? "True" : "False", concept.badge, ...more]);
  }));
  return rows;
}

// Causes are those of one mark, wherever the slider stands.
const causeMark = () => state.colour !== "mastery" && state.mark !== rules.fail ? ` · causes for ${percent(rules.fail)} %` : "";

// ---- pictures ------------------------------------------------------------------------------------

const FONT = "system-ui, Segoe UI, Arial, sans-serif";

function write(parent, x, y, size, text, more = {}) {
  svg("text", { x, y, "font-size": size, fill: "#1d2733", ...more }, parent).textContent = text;
}

// A drawing of this size in its own units, as a picture of at most 8000 pixels a side.
function picture(drawing, width, height, name) {
  const scale = Math.min(2, 8000 / Math.max(width, height));
  const pixels = { width: Math.round(width * scale), height: Math.round(height * scale) };
  const frame = { xmlns: SVG, ...pixels, viewBox: `0 0 ${width} ${height}`, "font-family": FONT };
  for (const key in frame) drawing.setAttribute(key, frame[key]);
  const image = new Image(), canvas = make("canvas", pixels);
  image.onload = () => {
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0);
    canvas.toBlob(blob => save(blob, name), "image/png");
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(drawing));
}

// Title, cohort, mark and what the looks mean, at the top of a picture.
function heading(drawing, x, about) {
  write(drawing, x, 34, 20, DATA.title);
  write(drawing, x, 58, 14, about);
  let at = x;
  if (state.colour === "mastery") {
    write(drawing, x, 80, 13, "below the mark");
    colourBar(drawing, x + 108, 69);
    write(drawing, x + 266, 80, 13, "above");
    at = x + 330;
  } else {
    for (const cause of Object.values(CAUSES)) {
      badged(cause, drawing).setAttribute("transform", `translate(${at + 12} 76)`);
      write(drawing, at + 30, 80, 13, cause.name);
      at += 46 + cause.name.length * 7.4;
    }
  }
  for (const { text, ...look } of KEYS) {
    svg("rect", { x: at, y: 69, width: 26, height: 14, rx: 4, ...look }, drawing);
    write(drawing, at + 34, 80, 13, text);
    at += 52 + text.length * 7;
  }
  return at;
}

function graphPicture() {
  const margin = 40, top = 100, drawing = $("graph").cloneNode(true), world = drawing.lastElementChild;
  drawing.removeAttribute("style");
  world.setAttribute("transform", `translate(${margin} ${top})`);
  world.querySelectorAll(".node text").forEach(text => text.setAttribute("display", "inline"));
  world.lastElementChild.remove(); // the captions of the view from afar
  const changed = edits.length ? " · with edges changed in the page" : "";
  const end = heading(drawing, margin, `${cohortName(state.cohort)} · mark ${percent(state.mark)} %${causeMark()}${changed}`);
  picture(drawing, Math.max(graph.width + 2 * margin, end), graph.height + top + margin, "gap-map.png");
}

// The table of cohorts by concepts as it stands on the page, with the rows that are shown there.
function matrixPicture() {
  const left = 300, cell = [64, 26], top = 190, margin = 40, drawing = svg("svg", {}), rows = state.all ? ranked() : ranked().slice(0, ROWS);
  drawing.append($("graph").querySelector("defs").cloneNode(true));
  const end = heading(drawing, margin,
    `mark ${percent(state.mark)} %${causeMark()} · mean mastery in per cent · ● stuck · – not enough data · ··· hidden for privacy`);
  const cut = (text, most) => [...text].length > most ? [...text].slice(0, most - 1).join("") + "…" : text;
  cohorts.forEach((_, c) => {
    const x = left + c * cell[0] + cell[0] / 2 + 4;
    write(drawing, x, top - 10, 12.5, cut(cohortName(c), 14), { transform: `rotate(-60 ${x} ${top - 10})` });
  });
  rows.forEach((i, k) => {
    const y = top + k * cell[1];
    write(drawing, margin, y + 17, 13, cut(concepts[i].name, 36));
    cohorts.forEach((_, c) => {
      const look = matrixLook(c, i), fill = look.fill || (look.kind.includes("few") ? "url(#hatch)" : "#e4e8ec"), x = left + c * cell[0];
      const edge = look.stuck ? { stroke: "#1d2733", "stroke-width": 2.5 } : { stroke: "#c3cad3", "stroke-width": 1 };
      svg("rect", { x: x + 2, y: y + 2, width: cell[0] - 4, height: cell[1] - 4, rx: 5, fill, ...edge }, drawing);
      write(drawing, x + cell[0] / 2, y + 17.5, 12.5, look.text, { "text-anchor": "middle", fill: look.ink || "#596675" });
    });
  });
  picture(drawing, Math.max(left + cohorts.length * cell[0] + 80, end), top + rows.length * cell[1] + margin, "gap-matrix.png");
}

// ---- the page itself -----------------------------------------------------------------------------

// The file as it came, with the edits made in it; a copy of a served page asks nothing of any server.
function pageCopy() {
  const copy = PRISTINE.cloneNode(true), policy = copy.querySelector("meta[http-equiv]");
  policy.setAttribute("content", policy.getAttribute("content").replace(/\s*connect-src 'self';/, ""));
  copy.querySelector("#refit")?.remove();
  const { learners, ...data } = JSON.parse(copy.querySelector("#data").textContent); // a copy may be passed on: it names no learner
  const text = JSON.stringify({ ...data, edits, refit: null });
  copy.querySelector("#data").textContent = text.replace(/[<>&\u2028\u2029]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return `<!doctype html>\n${copy.outerHTML}\n`;
}

function startExporting() {
  const on = (id, action) => $(id).addEventListener("click", action);
  on("save-csv", () => saveText(commaSeparated(mapTable()), "gap-map.csv", "text/csv"));
  on("save-png", graphPicture);
  on("save-matrix", matrixPicture);
  on("save-html", () => saveText(pageCopy(), "gap-map.html", "text/html"));
  on("save-graph", () => saveText(graphFile(), "graph.json", "application/json"));
  on("save-case", () => saveText(caseFile(), "graph.case.json", "application/json"));
}
