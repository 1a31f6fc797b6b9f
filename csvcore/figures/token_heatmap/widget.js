// The renderer as an anywidget. It follows renderer.js and the constants MARKUP and STYLE.
// A shadow root keeps its classes and the notebook's apart; colours are the notebook's.
const GROUND = `:host {
  --st-font: var(--jp-ui-font-family, sans-serif); --st-code-font: var(--jp-code-font-family, monospace);
  --st-text-color: var(--jp-ui-font-color0, #111); --st-background-color: var(--jp-layout-color0, #fff);
  --st-secondary-background-color: var(--jp-layout-color2, #eee); --st-border-color: var(--jp-border-color0, #8888);
  --st-primary-color: var(--jp-brand-color1, #1976d2); --st-base-radius: 3px;
}
.heatmap { background: var(--st-background-color); }`;

function asTable(columns) {
  return { numRows: columns.text.length, getChild: (name) => ({ toArray: () => columns[name] }) };
}

function renderWidget({ model, el }) {
  el.dataset.lmSuppressShortcuts = "true"; // the keys N, P and M are the heatmap's, not the notebook's
  const root = el.attachShadow({ mode: "open" });
  root.innerHTML = MARKUP;
  root.append(...[GROUND, STYLE].map((text) => Object.assign(document.createElement("style"), { textContent: text })));
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const draw = () => {
    const drawing = { ...model.get("drawing"), selected: model.get("selected") };
    render({ data: { ...drawing, tokens: asTable(drawing.tokens) }, parentElement: root, setStateValue: set });
  };
  draw();
  model.on("change:drawing change:selected", draw);
  return () => model.off("change:drawing change:selected", draw);
}

export default { render: renderWidget };
