// Token heatmap. Token text is untrusted and only ever becomes a text node.
const LEVELS = 10;
const TOP = { light: "#31a354", dark: "#1b7837" }; // at full strength text still has contrast 5 : 1
const STRONG = 0.7; // share of the top weight from which N and P stop at a token
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
const views = new WeakMap(); // one view for each place where the component is mounted

function code(char) {
  return "⟨" + char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩";
}

// Control and direction marks always show; spaces and newlines on demand, and where nothing else is.
function visible(text, marks) {
  const shown = text.replace(HIDDEN, code);
  if (marks || !shown.trim()) {
    return shown.replace(/ /g, "·").replace(/\r?\n/g, "↵\n").replace(/\t/g, "→\t");
  }
  return shown.replace(/\r/g, "");
}

function isDark(colour) {
  const pixel = document.createElement("canvas").getContext("2d");
  pixel.fillStyle = colour;
  pixel.fillRect(0, 0, 1, 1);
  const [red, green, blue] = pixel.getImageData(0, 0, 1, 1).data;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 128;
}

class View {
  constructor(parent) {
    const find = (selector) => parent.querySelector(selector);
    this.frame = find(".heatmap");
    this.text = find(".text");
    this.legend = find(".legend");
    this.spoken = find(".spoken");
    this.tip = find(".tip");
    this.marks = find(".marks");
    this.lines = find(".lines");
    this.shades = document.createElement("style");
    this.frame.prepend(this.shades);
    this.cursor = 0;
    this.anchor = null;
    this.selected = { start: -1, end: -1 };
    this.listen();
  }

  listen() {
    this.text.onclick = (event) => this.withToken(event, (i) => this.select(i, event.shiftKey));
    this.text.onmousemove = (event) => {
      const i = this.indexOf(event);
      if (i === null) this.hideTip();
      else this.showTip(i, event.clientX, event.clientY);
    };
    this.text.onmouseleave = () => this.hideTip();
    this.text.onscroll = () => this.hideTip();
    this.text.onkeydown = (event) => this.onKey(event);
    this.marks.onchange = () => this.spans.forEach((span, i) => (span.textContent = this.shown(i)));
    this.lines.onchange = () => this.text.classList.toggle("lines", this.lines.checked);
  }

  update(data, send) {
    this.data = data;
    this.send = send;
    this.paint();
    this.text.setAttribute("aria-label", data.label);
    if (this.version !== data.version) {
      this.version = data.version;
      this.build();
    }
    this.mark(data.selected);
  }

  paint() {
    const background = getComputedStyle(this.frame).getPropertyValue("--st-background-color").trim() || "#fff";
    const dark = isDark(background);
    const rules = Array.from({ length: LEVELS }, (_, level) => {
      const share = Math.round((100 * level) / (LEVELS - 1));
      const shade = `color-mix(in oklab, ${dark ? TOP.dark : TOP.light} ${share}%, ${background})`;
      return `.level${level}{--shade:${shade};--ink:${dark ? "#f5f5f5" : "#111"};--level:${Math.round((4 * level) / (LEVELS - 1))}}`;
    });
    this.shades.textContent = rules.join("\n");
  }

  build() {
    const table = this.data.tokens;
    this.words = table.getChild("text");
    this.weight = table.getChild("weight").toArray();
    this.losses = this.data.models.map((_, k) => table.getChild(`loss${k}`).toArray());
    const part = document.createDocumentFragment();
    this.spans = Array.from({ length: table.numRows }, (_, i) => {
      const span = document.createElement("span");
      span.className = `token level${this.level(i)}`;
      span.dataset.index = i;
      span.textContent = this.shown(i);
      part.appendChild(span);
      return span;
    });
    this.text.replaceChildren(part);
    this.cursor = 0;
    this.anchor = null;
    const steps = Array.from({ length: LEVELS }, (_, level) => {
      const step = document.createElement("i");
      step.className = `level${level}`;
      return step;
    });
    this.legend.replaceChildren("weight 0", ...steps, this.data.top.toPrecision(2));
  }

  shown(i) {
    return visible(this.words.get(i), this.marks.checked);
  }

  level(i) {
    const share = this.data.top > 0 ? this.weight[i] / this.data.top : 0;
    return Math.max(0, Math.min(LEVELS - 1, Math.floor(share * LEVELS)));
  }

  indexOf(event) {
    const span = event.target.closest?.(".token");
    return span ? Number(span.dataset.index) : null;
  }

  withToken(event, act) {
    const i = this.indexOf(event);
    if (i !== null) act(i);
  }

  select(i, extend) {
    if (!extend || this.anchor === null) this.anchor = i;
    const range = { start: Math.min(this.anchor, i), end: Math.max(this.anchor, i) };
    this.moveTo(i, false);
    this.mark(range);
    this.send(range);
  }

  clear() {
    const none = { start: -1, end: -1 };
    this.anchor = null;
    this.mark(none);
    this.hideTip();
    this.send(none);
  }

  mark(range) {
    for (let i = this.selected.start; i >= 0 && i <= this.selected.end; i++) this.spans[i]?.classList.remove("selected");
    for (let i = range.start; i >= 0 && i <= range.end; i++) this.spans[i]?.classList.add("selected");
    this.selected = range;
    if (this.anchor === null && range.start >= 0) this.anchor = range.start;
  }

  moveTo(i, scroll = true) {
    this.spans[this.cursor]?.classList.remove("cursor");
    this.cursor = Math.max(0, Math.min(this.spans.length - 1, i));
    const span = this.spans[this.cursor];
    span.classList.add("cursor");
    if (scroll) span.scrollIntoView({ block: "nearest" });
    this.spoken.textContent =
      `token ${this.cursor + 1} of ${this.spans.length}: ${JSON.stringify(this.words.get(this.cursor))}, ` +
      `weight ${this.weight[this.cursor].toFixed(3)}`;
    return span;
  }

  nextStrong(direction) {
    for (let i = this.cursor + direction; i >= 0 && i < this.spans.length; i += direction) {
      if (this.weight[i] >= STRONG * this.data.top) return i;
    }
    return this.cursor;
  }

  verticalNeighbour(direction) {
    const here = this.spans[this.cursor].getBoundingClientRect();
    for (let i = this.cursor + direction; i >= 0 && i < this.spans.length; i += direction) {
      const there = this.spans[i].getBoundingClientRect();
      if (Math.abs(there.top - here.top) > 4 && there.left <= here.left && there.right >= here.left) return i;
    }
    return direction > 0 ? this.spans.length - 1 : 0;
  }

  onKey(event) {
    const moves = {
      ArrowRight: () => this.cursor + 1,
      ArrowLeft: () => this.cursor - 1,
      ArrowDown: () => this.verticalNeighbour(1),
      ArrowUp: () => this.verticalNeighbour(-1),
      Home: () => 0,
      End: () => this.spans.length - 1,
      n: () => this.nextStrong(1),
      p: () => this.nextStrong(-1),
    };
    if (event.key === "Enter" || event.key === " ") this.select(this.cursor, event.shiftKey);
    else if (event.key === "Escape") this.clear();
    else if (moves[event.key] && !event.ctrlKey && !event.metaKey) {
      const box = this.moveTo(moves[event.key]()).getBoundingClientRect();
      this.showTip(this.cursor, box.left, box.top);
    } else return;
    event.preventDefault();
  }

  showTip(i, x, y) {
    const title = document.createElement("b");
    title.textContent = JSON.stringify(this.words.get(i));
    const table = document.createElement("table");
    const row = (name, value) => {
      const cells = table.insertRow();
      cells.insertCell().textContent = name;
      cells.insertCell().textContent = value;
    };
    row("weight", this.weight[i].toFixed(3));
    this.data.models.forEach((name, k) => row(name, `${this.losses[k][i].toFixed(3)} nats`));
    this.tip.replaceChildren(title, table);
    this.tip.hidden = false;
    const box = this.tip.getBoundingClientRect();
    const below = y + 18 + box.height <= window.innerHeight;
    this.tip.style.left = `${Math.max(4, Math.min(x + 14, window.innerWidth - box.width - 8))}px`;
    this.tip.style.top = `${below ? y + 18 : y - box.height - 10}px`;
  }

  hideTip() {
    this.tip.hidden = true;
  }
}

export default function render({ data, parentElement, setStateValue }) {
  if (!views.has(parentElement)) views.set(parentElement, new View(parentElement));
  views.get(parentElement).update(data, (range) => setStateValue("selected", range));
  return () => views.delete(parentElement);
}
