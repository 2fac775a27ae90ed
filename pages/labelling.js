// Labelling pictures: boxes by dragging, masks by brush. Python gets {drawn: {picture: {boxes, strokes}},
// shown: picture} after every change: a box is [class, x, y, x, y], a stroke [class, width, [[x, y], ...]],
// places in 0..1 of the picture, -1 the eraser. No image ever goes back. Python puts the other labelling_*.js
// before this file.

const SIZES = { S: 0.025, M: 0.06, L: 0.13 }; // brushes, as shares of the picture's longer side

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".labeller");
  root.held ??= { shown: "", ...data.labels, drawn: { ...data.labels.drawn } };
  root.tool ??= { number: 0, width: SIZES.M, erase: false, past: {} };
  root.send = () => setStateValue("labels", structuredClone(root.held));
  const made = JSON.stringify([data.kind, data.classes, data.pictures.map((one) => one.id)]);
  if (root.dataset.made === made) return;
  root.dataset.made = made;
  if (!data.pictures.some((one) => one.id === root.held.shown)) root.held.shown = data.pictures[0].id;
  root.tool.number = Math.min(root.tool.number, data.classes.length - 1);
  build(root, data);
}

function build(root, data) {
  const { held, tool } = root;
  const boxes = data.kind === "boxes";
  const field = boxes ? "boxes" : "strokes";
  const drawnOn = (id) => held.drawn[id]?.[field] ?? [];
  const read = () => drawnOn(held.shown);
  function write(next, keep = true) {
    if (keep) (tool.past[held.shown + field] ??= []).push(read());
    held.drawn[held.shown] = { ...held.drawn[held.shown], [field]: next };
    board.redraw();
    away.disabled = !board.picked();
    say();
    root.send();
  }
  const undo = () => write(tool.past[held.shown + field]?.pop() ?? read().slice(0, -1), false);
  const choose = (number) => {
    Object.assign(tool, { number, erase: false });
    mark();
  };
  const onPick = (any) => (away.disabled = !any);
  const away = button("Delete box", "Take the chosen box away (key Delete)", () => board.remove());
  const board = makeBoard({ boxes, classes: data.classes, tool, read, write, undo, choose, onPick });

  const chips = element("div", "chips");
  data.classes.forEach((one, number) => {
    const chip = button("", `Label as ${one.name} (key ${number + 1})`, () => choose(number));
    const swatch = element("span", "swatch");
    swatch.style.background = one.colour;
    chip.append(swatch, one.name);
    chips.append(chip);
  });
  const eraser = button("Eraser", "Rub out", () => {
    tool.erase = !tool.erase;
    mark();
  });
  if (boxes) tool.erase = false;
  else chips.append(eraser);
  const tools = element("div", "tools");
  const sizes = boxes ? [] : Object.keys(SIZES).map((name) => sized(name));
  tools.append(
    ...(boxes ? [away] : sizes),
    button("↶ Undo", "Undo the last change of this picture", undo),
    button("✕ Clear", "Take all labels off this picture", () => read().length && write([])),
  );
  function sized(name) {
    return button(name, `Brush size ${name}`, () => {
      tool.width = SIZES[name];
      mark();
    });
  }
  function mark() {
    [...chips.children].forEach((chip, i) => {
      const on = chip === eraser ? tool.erase : !tool.erase && i === tool.number;
      chip.setAttribute("aria-pressed", String(on));
    });
    for (const one of sizes) one.setAttribute("aria-pressed", String(SIZES[one.textContent] === tool.width));
    board.paint();
  }

  const said = element("div", "said");
  said.setAttribute("aria-live", "polite");
  const thumbs = element("div", "thumbs");
  for (const one of data.pictures) {
    const thumb = button("", one.name, () => {
      held.shown = one.id;
      board.open(one);
      say();
      root.send();
    });
    thumb.dataset.id = one.id;
    const small = element("img");
    small.src = one.url;
    small.alt = "";
    thumb.append(small);
    thumbs.append(thumb);
  }
  /** Say in words what is labelled, for ears as well, and mark the pictures that are. */
  function say() {
    const counts = data.classes.map((one, i) => [one.name, read().filter((thing) => thing[0] === i).length]);
    const found = counts.filter(([, count]) => count).map(([name, count]) => `${count} × ${name}`);
    const unit = boxes ? "Boxes" : "Brush strokes";
    said.textContent = found.length ? `${unit} on this picture: ${found.join(", ")}` : "Nothing labelled here yet.";
    for (const thumb of thumbs.children) {
      const labelled = drawnOn(thumb.dataset.id).some((thing) => thing[0] >= 0);
      thumb.classList.toggle("labelled", labelled);
      thumb.setAttribute("aria-pressed", String(thumb.dataset.id === held.shown));
      thumb.setAttribute("aria-label", `${thumb.title}${labelled ? ", labelled" : ", not labelled yet"}`);
    }
  }
  const bar = element("div", "bar");
  bar.append(chips, tools);
  thumbs.hidden = data.pictures.length < 2;
  root.replaceChildren(bar, board.canvas, said, thumbs);
  board.open(data.pictures.find((one) => one.id === held.shown));
  say();
  mark();
}
