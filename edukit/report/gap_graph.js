// The layered concept graph: drawn once, connected anew when an edge changes, walked with the arrow keys. It knows nothing of tables.

const BOX = { width: 148, height: 46 };
const GAPS = { right: [34, 12], down: [46, 14] }; // between layers and within one, for graphs that run right or down

// A name in at most two lines that fit the box.
function wrapped(name, width = 18) {
  const lines = [""];
  for (const word of name.split(/\s+/)) {
    const line = lines[lines.length - 1];
    if (!line || (line + " " + word).length <= width) lines[lines.length - 1] = line ? line + " " + word : word;
    else lines.push(word);
  }
  const shown = lines.slice(0, 2);
  if (lines.length > 2) shown[1] += "…";
  return shown.map(line => [...line].length > width ? [...line].slice(0, width - 1).join("") + "…" : line);
}

// A shape with a letter on the corner of a box: told apart without colour.
function badged({ letter, path, colour }, parent) {
  const badge = svg("g", { transform: "translate(2 3)", "pointer-events": "none" }, parent);
  svg("path", { d: path, fill: colour, stroke: "#ffffff", "stroke-width": 1.5 }, badge);
  svg("text", { y: 4.5, "text-anchor": "middle", "font-size": 12.5, "font-weight": 700, fill: "#ffffff" }, badge).textContent = letter;
  return badge;
}

// Attributes of a node, of which only those that differ are touched: each touch costs a style and a paint.
function put(node, attributes) {
  for (const name in attributes) {
    const value = String(attributes[name]);
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
}

class ConceptGraph extends Canvas {
  constructor(root, concepts, edges, onSelect) {
    super(root);
    Object.assign(this, { concepts, onSelect, current: 0, few: concepts.length <= 120 });
    const defs = svg("defs", {}, root);
    const tile = { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" };
    const hatch = svg("pattern", tile, defs);
    svg("rect", { width: 7, height: 7, fill: "#eef0f2" }, hatch);
    svg("rect", { width: 2, height: 7, fill: "#cfd5db" }, hatch);
    for (const [id, fill] of [["arrow", "#8f9ba8"], ["arrow-on", "#1d2733"], ["arrow-new", "#8f3a74"]]) {
      const size = { viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse" };
      const marker = svg("marker", { id, ...size, orient: "auto" }, defs);
      svg("path", { d: "M0 0L8 4L0 8Z", fill }, marker);
    }
    this.world = svg("g", {}, root);
    const deep = Math.max(...concepts.map(c => c.x)) + 1, broad = Math.max(...concepts.map(c => c.y)) + 1;
    // long chains run down, or the map becomes a strip
    this.down = deep * (BOX.width + GAPS.right[0]) > 3 * broad * (BOX.height + GAPS.right[1]);
    const [layer, row] = this.down ? GAPS.down : GAPS.right;
    this.step = this.down ? [BOX.width + row, BOX.height + layer] : [BOX.width + layer, BOX.height + row];
    this.arrows = svg("g", { fill: "none" }, this.world);
    this.boxes = concepts.map((concept, i) => this.box(concept, i));
    const halo = { fill: "#1d2733", stroke: "#ffffff", "paint-order": "stroke" };
    this.captions = svg("g", { "pointer-events": "none", "text-anchor": "middle", "font-weight": 650, ...halo }, this.world);
    this.boxes[0].group.setAttribute("tabindex", 0);
    root.addEventListener("click", event => {
      const node = event.target.closest(".node");
      if (!this.dragged) onSelect(node ? Number(node.dataset.i) : null);
    });
    root.addEventListener("keydown", event => this.key(event));
    this.connect(edges);
  }

  // Draw these edges, each [prerequisite, concept, weight, in words, whether it was added in the page], and put the boxes where they belong.
  connect(edges) {
    this.prerequisites = this.concepts.map(() => []);
    this.dependants = this.concepts.map(() => []);
    const reach = axis => Math.max(...this.concepts.map(c => c[axis])), [columns, rows] = this.down ? ["y", "x"] : ["x", "y"];
    this.width = reach(columns) * this.step[0] + BOX.width;
    this.height = reach(rows) * this.step[1] + BOX.height;
    this.boxes.forEach(({ group }, i) => put(group, { transform: `translate(${this.at(i).join(" ")})` }));
    const drawn = new Map((this.lines || []).map(one => [`${one.from}>${one.to}`, one.line]));
    this.lines = edges.map(([from, to, weight, , fresh]) => {
      this.prerequisites[to].push(from);
      this.dependants[from].push(to);
      const key = `${from}>${to}`, line = drawn.get(key) || svg("path", {}, this.arrows);
      drawn.delete(key);
      put(line, { d: this.curve(from, to), "stroke-width": fresh ? 2.5 : 1 + weight, "stroke-dasharray": fresh ? "7 4" : "none" });
      return { from, to, line, fresh };
    });
    for (const gone of drawn.values()) gone.remove();
    this.captioned = null;
    this.highlight(null);
  }

  // Left top corner: the layout counts layers in x and rows in y, whichever way the graph runs.
  at(i) {
    const { x, y } = this.concepts[i];
    return this.down ? [y * this.step[0], x * this.step[1]] : [x * this.step[0], y * this.step[1]];
  }

  // An arrow over several layers that would run straight through the boxes between them bows to the side.
  curve(one, other) {
    const [x1, y1] = this.at(one), [x2, y2] = this.at(other), { width, height } = BOX;
    const { x: layer, y: row } = this.concepts[one], far = this.concepts[other].x - layer > 1.5 && Math.abs(this.concepts[other].y - row) < 0.3;
    if (this.down) {
      const bend = Math.max(26, Math.abs(y2 - y1 - height) * 0.45), side = far ? width * 0.8 : 0;
      const from = x1 + width / 2, to = x2 + width / 2;
      return `M${from} ${y1 + height}C${from + side} ${y1 + height + bend} ${to + side} ${y2 - bend} ${to} ${y2 - 1}`;
    }
    const bend = Math.max(30, Math.abs(x2 - x1 - width) * 0.45), from = y1 + height / 2, to = y2 + height / 2, side = far ? height : 0;
    return `M${x1 + width} ${from}C${x1 + width + bend} ${from + side} ${x2 - bend} ${to + side} ${x2 - 1} ${to}`;
  }

  box(concept, i) {
    const group = svg("g", { class: "node", tabindex: -1, role: "button", "data-i": i, cursor: "pointer" }, this.world);
    const around = { x: -4, y: -4, width: BOX.width + 8, height: BOX.height + 8, rx: 11 };
    const ring = svg("rect", { ...around, fill: "none", stroke: "#e0a100", "stroke-width": 0 }, group);
    const shape = svg("rect", { width: BOX.width, height: BOX.height, rx: 8 }, group);
    const label = svg("text", { "text-anchor": "middle", "font-size": 13.5, "pointer-events": "none" }, group);
    const lines = wrapped(concept.name);
    lines.forEach((line, k) => {
      svg("tspan", { x: BOX.width / 2, y: BOX.height / 2 + 4.5 + (k - (lines.length - 1) / 2) * 16 }, label).textContent = line;
    });
    const title = svg("title", {}, group);
    return { group, ring, shape, label, title };
  }

  // looks: per concept {fill, text, stuck, hidden, words, badge: {letter, path, colour} or nothing}; what has not changed is not touched
  paint(looks) {
    looks.forEach((look, i) => {
      const box = this.boxes[i], { group, shape, label, title } = box, before = box.look || {};
      if (look.badge !== before.badge) {
        box.badge?.remove();
        box.badge = look.badge ? badged(look.badge, group) : null;
      }
      put(shape, { fill: look.fill, stroke: look.stuck ? "#1d2733" : "#98a3af", "stroke-width": look.stuck ? 3 : 1,
        "stroke-dasharray": look.hidden ? "4 3" : "none" });
      put(label, { fill: look.text });
      if (look.words !== before.words) {
        title.textContent = look.words;
        group.setAttribute("aria-label", look.words);
      }
      box.look = look;
    });
  }

  highlight(i) {
    const near = i === null ? null : new Set([i, ...this.prerequisites[i], ...this.dependants[i]]);
    this.boxes.forEach(({ ring }, k) => put(ring, { "stroke-width": k === i ? 5 : near && near.has(k) ? 2.5 : 0 }));
    for (const { from, to, line, fresh } of this.lines) {
      const on = i !== null && (from === i || to === i), stroke = fresh ? "#8f3a74" : on ? "#1d2733" : "#b4bdc7";
      put(line, { stroke, opacity: on || fresh || !near ? 1 : 0.45, "marker-end": `url(#arrow${fresh ? "-new" : on ? "-on" : ""})` });
    }
  }

  focus(i, move = true) {
    this.boxes[this.current].group.setAttribute("tabindex", -1);
    this.current = i;
    this.boxes[i].group.setAttribute("tabindex", 0);
    if (move) this.boxes[i].group.focus({ preventScroll: true });
    this.reveal(i);
  }

  reveal(i) {
    const { width, height } = this.root.getBoundingClientRect();
    if (!this.readable()) this.scale = 0.8;
    const [x, y] = this.at(i), sx = x * this.scale + this.left, sy = y * this.scale + this.top;
    const out = sx < 8 || sy < 8 || sx + BOX.width * this.scale > width - 8 || sy + BOX.height * this.scale > height - 8;
    if (out) {
      this.left = width / 2 - (x + BOX.width / 2) * this.scale;
      this.top = height / 2 - (y + BOX.height / 2) * this.scale;
    }
    this.place();
  }

  place() {
    super.place();
    const near = this.readable();
    if (near !== this.near) {
      this.near = near;
      this.boxes.forEach(({ label }) => label.setAttribute("display", near ? "inline" : "none"));
    }
    this.captions.setAttribute("display", near ? "none" : "inline");
    if (!near && this.captioned !== this.scale) this.caption();
  }

  // Topic names over the middle of their concepts while the boxes are too small to read; those that would overlap are left out.
  caption() {
    this.captioned = this.scale;
    this.captions.replaceChildren();
    const topics = new Map();
    this.concepts.forEach((c, i) => { if (c.topic) topics.set(c.topic, [...(topics.get(c.topic) || []), i]); });
    const size = 13 / this.scale, taken = [];
    const middle = values => values.sort((a, b) => a - b)[values.length >> 1];
    for (const [topic, members] of [...topics].sort((a, b) => b[1].length - a[1].length)) {
      const x = middle(members.map(i => this.at(i)[0])) + BOX.width / 2, y = middle(members.map(i => this.at(i)[1]));
      const half = topic.length * size * 0.3, covered = t => Math.abs(t.x - x) < t.half + half && Math.abs(t.y - y) < size * 1.5;
      if (taken.some(covered) || x < half || x + half > this.width) continue;
      taken.push({ x, y, half });
      svg("text", { x, y: y + size * 0.3, "font-size": size, "stroke-width": size * 0.28 }, this.captions).textContent = topic;
    }
  }

  key(event) {
    const node = event.target.closest(".node");
    if (!node) return;
    const i = Number(node.dataset.i), next = this.neighbour(i, event.key);
    if (event.key === "Enter" || event.key === " ") this.onSelect(i);
    else if (event.key === "Escape") this.onSelect(null);
    else if (next !== null) this.focus(next);
    else return;
    event.preventDefault();
  }

  // Along the arrows to a prerequisite or dependant; across them to the next concept of the layer.
  neighbour(i, key) {
    const away = k => Math.abs(this.concepts[k].y - this.concepts[i].y);
    const closest = list => list.length ? list.reduce((a, b) => away(b) < away(a) ? b : a) : i;
    const across = ["ArrowLeft", "ArrowRight"], upright = ["ArrowUp", "ArrowDown"];
    const [back, forth, before, after] = this.down ? [...upright, ...across] : [...across, ...upright];
    if (key === back) return closest(this.prerequisites[i]);
    if (key === forth) return closest(this.dependants[i]);
    if (key !== before && key !== after) return null;
    const { x, y } = this.concepts[i];
    return closest(this.concepts.flatMap((c, k) => c.x === x && (key === before ? c.y < y : c.y > y) ? [k] : []));
  }
}
