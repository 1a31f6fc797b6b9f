// Token heatmap. Token text is untrusted and only ever becomes a text node.
// Of the data `tokens` has numRows and getChild(column).toArray(), as an Arrow table has.
const STRONG = 6; // level, of 9, from which N, P and the buttons stop at a token
const NEAR_END = 400; // pixels before the end at which more documents are asked for
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g;
const NONE = { start: -1, end: -1 };
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

function made(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
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
    this.found = find(".found");
    this.more = find(".more");
    this.beyond = find(".beyond");
    this.shades = document.createElement("style");
    this.frame.prepend(this.shades);
    this.spans = [];
    this.matches = [];
    this.cursor = 0;
    this.anchor = null;
    this.selected = NONE;
    this.listen(find);
  }

  listen(find) {
    this.text.onclick = (event) => {
      const i = this.indexOf(event);
      if (i !== null) this.select(i, event.shiftKey);
    };
    this.text.onmousedown = (event) => {
      if (!event.shiftKey) return;
      event.preventDefault(); // or the browser selects the words between as well
      this.text.focus({ preventScroll: true });
    };
    this.text.onmousemove = (event) => {
      const i = this.indexOf(event);
      if (i === null) this.hideTip();
      else this.showTip(i, event.clientX, event.clientY);
    };
    this.text.onmouseleave = () => this.hideTip();
    this.text.onscroll = () => this.onScroll();
    this.text.onkeydown = (event) => this.onKey(event);
    this.marks.onchange = () => this.spans.forEach((span, i) => (span.textContent = this.shown(i)));
    this.lines.onchange = () => this.text.classList.toggle("lines", this.lines.checked);
    this.more.onclick = () => this.ask();
    const jump = (selector, place) => {
      find(selector).onclick = () => this.moveTo(place());
    };
    jump(".previous-strong", () => this.nextStrong(-1));
    jump(".next-strong", () => this.nextStrong(1));
    jump(".previous-match", () => this.nextMatch(-1));
    jump(".next-match", () => this.nextMatch(1));
  }

  update(data, set) {
    this.data = data;
    this.set = set;
    this.paint();
    this.text.setAttribute("aria-label", data.label);
    if (this.version !== data.version) {
      this.version = data.version;
      this.build();
    }
    this.outline(data.matches);
    this.mark(data.selected);
    this.more.hidden = !data.more;
    this.more.textContent = data.more;
    this.beyond.textContent = data.beyond ? `${data.beyond} more further on` : "";
    if (this.focus !== data.focus) {
      this.focus = data.focus;
      if (data.selected.start >= 0) this.moveTo(data.selected.start);
    }
  }

  // One class a level: l0 to l9, and n1 to n9 below zero on a centred scale.
  paint() {
    const background = getComputedStyle(this.frame).getPropertyValue("--st-background-color").trim() || "#fff";
    const dark = isDark(background);
    const { steps, hue, low_hue: low } = this.data.scale;
    const rule = (name, colours, level, side) => {
      const share = Math.round((100 * level) / (steps - 1));
      const shade = `color-mix(in oklab, ${colours[dark ? 1 : 0]} ${share}%, ${background})`;
      const line = side * Math.round((4 * level) / (steps - 1));
      return `.${name}${level}{--shade:${shade};--ink:${dark ? "#f5f5f5" : "#111"};--line:${line}}`;
    };
    const levels = Array.from({ length: steps }, (_, level) => level);
    this.shades.textContent = [
      ...levels.map((level) => rule("l", hue, level, -1)),
      ...(low ? levels.map((level) => rule("n", low, level, 1)) : []),
    ].join("\n");
    this.frame.classList.toggle("centred", Boolean(low));
    this.drawLegend(levels, Boolean(low));
  }

  drawLegend(levels, centred) {
    const { name, unit, top, middle, half } = this.data.scale;
    const number = (value) => made("b", "", String(Number(value.toPrecision(2))));
    // On logarithmic shades the value of one in the middle is told as well.
    const steps = (side, order) =>
      order.flatMap((level) => {
        const shade = made("i", `${side}${level}`);
        return side === "l" && level === half && middle !== null ? [shade, number(middle)] : [shade];
      });
    const parts = [`${name}, ${unit}: `];
    if (centred) parts.push(number(-top), ...steps("n", levels.slice(1).reverse()));
    parts.push(number(0), ...steps("l", centred ? levels.slice(1) : levels), number(top), " and above");
    if (this.data.note) parts.push(made("i", "l0 hatched"), ` ${this.data.note}`);
    this.legend.replaceChildren(...parts);
    this.legend.setAttribute("aria-label", `${name}, ${unit}, from ${centred ? -top : 0} to ${top}`);
  }

  build() {
    performance.mark("heatmap-start");
    const table = this.data.tokens;
    this.words = table.getChild("text").toArray();
    this.levels = table.getChild("level").toArray();
    this.value = table.getChild("value").toArray();
    this.weight = table.getChild("weight").toArray();
    this.hatched = table.getChild("hatched").toArray();
    this.losses = this.data.models.map((_, k) => table.getChild(`loss${k}`).toArray());
    this.spans = Array.from({ length: table.numRows }, (_, i) => {
      const span = made("span", this.classOf(i), this.shown(i));
      span.dataset.index = i;
      return span;
    });
    const ends = [...this.data.docs.slice(1).map((doc) => doc.at), this.spans.length];
    const parts = this.data.docs.map((doc, d) => {
      const part = made("section", "doc");
      const body = made("div", "body");
      body.append(...this.spans.slice(doc.at, ends[d]));
      part.append(made("div", "title", visible(doc.title, false)), body);
      return part;
    });
    const at = this.text.scrollTop;
    this.text.replaceChildren(...parts, this.more);
    this.text.scrollTop = this.place === this.data.place ? at : 0;
    if (this.place !== this.data.place) this.cursor = 0;
    this.place = this.data.place;
    this.asked = false;
    this.anchor = null;
    this.selected = NONE;
    this.matches = [];
    performance.measure("heatmap", "heatmap-start");
  }

  classOf(i) {
    const level = this.levels[i];
    return `token ${level < 0 ? `n${-level}` : `l${level}`}${this.hatched[i] ? " hatched" : ""}`;
  }

  shown(i) {
    return visible(this.words[i], this.marks.checked);
  }

  indexOf(event) {
    const span = event.target.closest?.(".token");
    return span ? Number(span.dataset.index) : null;
  }

  onScroll() {
    this.hideTip();
    const { scrollTop, clientHeight, scrollHeight } = this.text;
    if (this.data.more && scrollTop + clientHeight > scrollHeight - NEAR_END) this.ask();
  }

  ask() {
    if (this.asked) return;
    this.asked = true;
    this.set("wanted", this.spans.length + 1);
  }

  select(i, extend) {
    if (!extend || this.anchor === null) this.anchor = i;
    const range = { start: Math.min(this.anchor, i), end: Math.max(this.anchor, i) };
    this.moveTo(i, false);
    this.mark(range);
    this.set("selected", range);
  }

  clear() {
    this.anchor = null;
    this.mark(NONE);
    this.hideTip();
    this.set("selected", NONE);
  }

  toggle(range, name, on) {
    for (let i = Math.max(0, range.start); i <= range.end; i++) this.spans[i]?.classList.toggle(name, on);
  }

  mark(range) {
    this.toggle(this.selected, "selected", false);
    this.toggle(range, "selected", true);
    this.selected = range;
    if (this.anchor === null && range.start >= 0) this.anchor = range.start;
  }

  outline(matches) {
    for (const match of this.matches) this.toggle(match, "match", false);
    for (const match of matches) this.toggle(match, "match", true);
    this.matches = matches;
    this.found.hidden = matches.length === 0;
  }

  moveTo(i, scroll = true) {
    if (this.spans.length === 0) return null;
    this.spans[this.cursor]?.classList.remove("cursor");
    this.cursor = Math.max(0, Math.min(this.spans.length - 1, i));
    const span = this.spans[this.cursor];
    span.classList.add("cursor");
    if (scroll) span.scrollIntoView({ block: "nearest" });
    this.spoken.textContent =
      `token ${this.cursor + 1} of ${this.spans.length}: ${JSON.stringify(this.words[this.cursor])}, ` +
      `${this.data.scale.name} ${this.value[this.cursor].toFixed(3)}`;
    return span;
  }

  nextStrong(direction) {
    for (let i = this.cursor + direction; i >= 0 && i < this.spans.length; i += direction) {
      if (Math.abs(this.levels[i]) >= STRONG) return i;
    }
    this.readOn(direction > 0);
    return this.cursor;
  }

  // At the end of what is shown: the cursor stays while the next documents come.
  readOn(forward) {
    if (forward && this.data.more) this.ask();
    return forward && Boolean(this.data.more);
  }

  nextMatch(direction) {
    const starts = this.matches.map((match) => match.start);
    const next = direction > 0 ? starts.find((i) => i > this.cursor) : starts.findLast((i) => i < this.cursor);
    if (next === undefined && this.data.beyond && this.readOn(direction > 0)) return this.cursor;
    return next ?? (direction > 0 ? starts[0] : starts.at(-1)) ?? this.cursor;
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
    if (event.target === this.more) return;
    const moves = {
      ArrowRight: () => this.cursor + 1,
      ArrowLeft: () => this.cursor - 1,
      ArrowDown: () => this.verticalNeighbour(1),
      ArrowUp: () => this.verticalNeighbour(-1),
      Home: () => 0,
      End: () => this.spans.length - 1,
      n: () => this.nextStrong(1),
      p: () => this.nextStrong(-1),
      m: () => this.nextMatch(1),
      M: () => this.nextMatch(-1),
    };
    if (this.spans.length === 0) return;
    if (event.key === "Enter" || event.key === " ") this.select(this.cursor, event.shiftKey);
    else if (event.key === "Escape") this.clear();
    else if (moves[event.key] && !event.ctrlKey && !event.metaKey) {
      const box = this.moveTo(moves[event.key]()).getBoundingClientRect();
      this.showTip(this.cursor, box.left, box.top);
    } else return;
    event.preventDefault();
  }

  showTip(i, x, y) {
    const table = document.createElement("table");
    const row = (name, value) => {
      const cells = table.insertRow();
      cells.insertCell().textContent = name;
      cells.insertCell().textContent = value;
    };
    row(this.data.scale.name, this.value[i].toFixed(3));
    if (this.data.scale.name !== "weight") row("weight", this.weight[i].toFixed(3));
    this.data.models.forEach((name, k) => row(name, `${this.losses[k][i].toFixed(3)} nats`));
    this.tip.replaceChildren(made("b", "", JSON.stringify(this.words[i]).slice(0, 80)), table);
    this.tip.hidden = false;
    const box = this.tip.getBoundingClientRect();
    const below = y + 18 + box.height <= window.innerHeight;
    this.tip.style.left = this.tip.style.top = "0";
    const origin = this.tip.getBoundingClientRect(); // not the window's corner in a notebook's cell
    this.tip.style.left = `${Math.max(4, Math.min(x + 14, window.innerWidth - box.width - 8)) - origin.left}px`;
    this.tip.style.top = `${(below ? y + 18 : y - box.height - 10) - origin.top}px`;
  }

  hideTip() {
    this.tip.hidden = true;
  }
}

function render({ data, parentElement, setStateValue }) {
  if (!views.has(parentElement)) views.set(parentElement, new View(parentElement));
  views.get(parentElement).update(data, setStateValue);
  return () => views.delete(parentElement);
}
