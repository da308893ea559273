"use strict";
// A picture that zooms and pans by mouse, touch and wheel. What it holds is drawn into `world`, `width` by `height` large.

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (parent) parent.append(node);
  return node;
}

class Canvas {
  constructor(root) {
    Object.assign(this, { root, scale: 1, left: 0, top: 0, width: 1, height: 1 });
    this.listen();
  }

  readable() { return this.scale >= 0.48; }

  place() {
    this.world.setAttribute("transform", `translate(${this.left.toFixed(1)} ${this.top.toFixed(1)}) scale(${this.scale.toFixed(4)})`);
  }

  zoom(factor, x, y) {
    const { width, height } = this.root.getBoundingClientRect();
    const next = Math.min(2.5, Math.max(this.fitting() * 0.7, this.scale * factor)), [cx, cy] = [x ?? width / 2, y ?? height / 2];
    this.left = cx - (cx - this.left) * next / this.scale;
    this.top = cy - (cy - this.top) * next / this.scale;
    this.scale = next;
    this.place();
  }

  fitting() {
    const { width, height } = this.root.getBoundingClientRect();
    return Math.min(1.1, (width - 32) / this.width, (height - 32) / this.height);
  }

  fit() {
    const { width, height } = this.root.getBoundingClientRect();
    this.scale = this.fitting();
    this.left = (width - this.width * this.scale) / 2;
    this.top = (height - this.height * this.scale) / 2;
    this.place();
  }

  // The first view: everything in a window of fitting height, unless a small graph would become unreadable; then its beginning.
  open() {
    const { width, height } = this.root.getBoundingClientRect();
    const needed = this.height * Math.min(1.1, (width - 32) / this.width) + 48;
    if (width > 600) this.root.style.height = `${Math.round(Math.min(height, Math.max(460, needed)))}px`;
    this.fit();
    if (!this.readable() && this.few) {
      this.scale = 0.7;
      this.left = this.top = 14;
      this.place();
    }
  }

  listen() {
    const pointers = new Map();
    let moved = 0;
    const local = event => { const box = this.root.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    this.root.addEventListener("wheel", event => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * 0.0015), ...local(event));
    }, { passive: false });
    this.root.addEventListener("pointerdown", event => { pointers.set(event.pointerId, local(event)); moved = 0; this.dragged = false; });
    this.root.addEventListener("pointermove", event => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = local(event), other = [...pointers].find(([id]) => id !== event.pointerId);
      pointers.set(event.pointerId, now);
      moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
      this.dragged = moved > 4;
      if (this.dragged && !this.root.hasPointerCapture(event.pointerId)) this.root.setPointerCapture(event.pointerId);
      if (other) {
        const far = point => Math.hypot(point[0] - other[1][0], point[1] - other[1][1]) || 1;
        this.zoom(far(now) / far(before), (now[0] + other[1][0]) / 2, (now[1] + other[1][1]) / 2);
      } else if (this.dragged) {
        this.root.classList.add("moving");
        this.left += now[0] - before[0];
        this.top += now[1] - before[1];
        this.place();
      }
    });
    const release = event => { pointers.delete(event.pointerId); this.root.classList.remove("moving"); };
    this.root.addEventListener("pointerup", release);
    this.root.addEventListener("pointercancel", release);
  }
}
