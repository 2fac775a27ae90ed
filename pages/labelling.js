// Labelling pictures: boxes by dragging, masks by brush. Python gets {drawn: {picture: {boxes, strokes}},
// shown: picture} after every change: a box is [class, x, y, x, y], a stroke [class, width, [[x, y], ...]],
// places in 0..1 of the picture, -1 the eraser. No image ever goes back.

const LONG = 960; // pixels of the canvas along the longer side
const SIZES = { S: 0.025, M: 0.06, L: 0.13 }; // brushes, as shares of the picture's longer side
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SMALLEST = 0.012; // a shorter drag is a slip of the hand

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".labeller");
  root.held ??= { shown: "", ...data.labels, drawn: { ...data.labels.drawn } };
  root.tool ??= { number: 0, size: "M", erase: false, past: {} };
  root.send = () => setStateValue("labels", structuredClone(root.held));
  const made = JSON.stringify([data.kind, data.classes, data.pictures.map((one) => one.id)]);
  if (root.dataset.made === made) return;
  root.dataset.made = made;
  if (!data.pictures.some((one) => one.id === root.held.shown)) root.held.shown = data.pictures[0].id;
  root.tool.number = Math.min(root.tool.number, data.classes.length - 1);
  build(root, data);
}

function build(root, data) {
  const boxes = data.kind === "boxes";
  const field = boxes ? "boxes" : "strokes";
  const { held, tool } = root;
  const drawnOn = (id) => held.drawn[id]?.[field] ?? [];
  const read = () => drawnOn(held.shown);
  const canvas = element("canvas");
  const context = canvas.getContext("2d");
  const layer = document.createElement("canvas");
  const image = new Image();
  const said = element("div", "said");
  said.setAttribute("aria-live", "polite");
  let now = null; // what is being drawn
  let cursor = null; // where a brush would paint: mouse or keys
  let byKeys = false;

  function write(next, keep = true) {
    if (keep) (tool.past[held.shown + field] ??= []).push(read());
    held.drawn[held.shown] = { ...held.drawn[held.shown], [field]: next };
    refresh();
    root.send();
  }
  function undo() {
    now = null;
    const before = tool.past[held.shown + field]?.pop();
    write(before ?? read().slice(0, -1), false);
  }

  // What is seen
  function trace(stroke, from = 0) {
    const [number, share, points] = stroke;
    const pen = layer.getContext("2d");
    pen.globalCompositeOperation = number < 0 ? "destination-out" : "source-over";
    pen.strokeStyle = data.classes[number]?.colour ?? "#000";
    pen.lineWidth = share * LONG;
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    points.slice(Math.max(0, from)).forEach(([x, y]) => pen.lineTo(x * layer.width, y * layer.height));
    if (points.length - from < 2) pen.lineTo(points.at(-1)[0] * layer.width + 0.1, points.at(-1)[1] * layer.height);
    pen.stroke();
  }
  function refresh() {
    layer.width = canvas.width; // clears it
    layer.height = canvas.height;
    if (!boxes) for (const stroke of read()) if (stroke[0] < data.classes.length) trace(stroke);
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
    paint();
  }
  function paint() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (image.complete && image.naturalWidth) context.drawImage(image, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 0.55;
    context.drawImage(layer, 0, 0);
    context.globalAlpha = 1;
    if (boxes) for (const box of now ? [...read(), now] : read()) frame(box);
    if (!cursor) return;
    const [x, y] = [cursor[0] * canvas.width, cursor[1] * canvas.height];
    const radius = boxes ? 9 : Math.max(4, (SIZES[tool.size] * LONG) / 2);
    for (const [width, colour] of [[5, "#fff"], [2.5, tool.erase ? "#333" : data.classes[tool.number].colour]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      if (byKeys) {
        context.moveTo(x - 14, y), context.lineTo(x + 14, y);
        context.moveTo(x, y - 14), context.lineTo(x, y + 14);
      }
      context.stroke();
    }
  }
  function frame([number, x1, y1, x2, y2]) {
    const one = data.classes[number];
    if (!one) return;
    const place = [Math.min(x1, x2) * canvas.width, Math.min(y1, y2) * canvas.height];
    const size = [Math.abs(x2 - x1) * canvas.width, Math.abs(y2 - y1) * canvas.height];
    for (const [width, colour] of [[8, "#fff"], [5, one.colour]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.strokeRect(...place, ...size);
    }
    context.font = "600 24px sans-serif";
    const wide = context.measureText(one.name).width + 14;
    const top = place[1] >= 32 ? place[1] - 32 : place[1];
    context.fillStyle = one.colour;
    context.fillRect(place[0], top, wide, 32);
    context.fillStyle = "#fff";
    context.strokeStyle = "#0009";
    context.lineWidth = 3;
    context.strokeText(one.name, place[0] + 7, top + 24);
    context.fillText(one.name, place[0] + 7, top + 24);
  }

  // What the hand does
  function begin([x, y]) {
    if (boxes && tool.erase) return remove(x, y);
    now = boxes ? [tool.number, x, y, x, y] : [tool.erase ? -1 : tool.number, SIZES[tool.size], [[x, y]]];
    if (!boxes) trace(now);
    paint();
  }
  function move([x, y]) {
    if (boxes) now.splice(3, 2, x, y);
    else {
      const [lastX, lastY] = now[2].at(-1);
      if (Math.hypot(x - lastX, y - lastY) < 0.004) return; // finer steps are hardly seen
      now[2].push([x, y]);
      trace(now, now[2].length - 2);
    }
    paint();
  }
  function end() {
    if (!now) return;
    const thing = now;
    now = null;
    const slip = boxes && Math.min(Math.abs(thing[3] - thing[1]), Math.abs(thing[4] - thing[2])) < SMALLEST;
    if (slip) paint();
    else write([...read(), thing]);
  }
  function cancel() {
    now = null;
    refresh();
  }
  function remove(x, y) {
    const area = (box) => Math.abs((box[3] - box[1]) * (box[4] - box[2]));
    const inside = ([, x1, y1, x2, y2]) => (x - x1) * (x - x2) <= 0 && (y - y1) * (y - y2) <= 0;
    const hit = read().filter(inside).sort((one, other) => area(one) - area(other))[0];
    if (hit) write(read().filter((box) => box !== hit));
  }
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const share = (value) => Math.round(10000 * Math.min(1, Math.max(0, value))) / 10000;
    return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || now) return;
    canvas.setPointerCapture(event.pointerId);
    byKeys = false;
    begin(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    cursor = event.pointerType === "touch" ? null : place(event);
    byKeys = false;
    if (!now || !canvas.hasPointerCapture(event.pointerId)) return paint();
    for (const part of event.getCoalescedEvents?.() ?? []) move(place(part));
    move(place(event));
  });
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", cancel);
  canvas.addEventListener("pointerleave", () => {
    if (!now && !byKeys) (cursor = null), paint();
  });
  canvas.addEventListener("blur", () => {
    byKeys = false;
    cursor = null;
    end();
    paint();
  });
  canvas.addEventListener("keydown", (event) => {
    const number = Number(event.key) - 1;
    if (event.key in KEYS) {
      const step = event.shiftKey ? 0.005 : 0.03;
      const shift = KEYS[event.key];
      const from = byKeys && cursor ? cursor : [0.5, 0.5];
      cursor = from.map((value, i) => Math.min(1, Math.max(0, value + step * shift[i])));
      byKeys = true;
      if (now) move(cursor);
    } else if (event.key === " ") {
      cursor ??= [0.5, 0.5];
      byKeys = true;
      now ? end() : begin(cursor);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      now = null;
      if (read().length) write(read().slice(0, -1));
    } else if (event.key === "Escape") cancel();
    else if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo();
    else if (number >= 0 && number < data.classes.length) choose(number);
    else return;
    event.preventDefault();
    paint();
  });

  // Tools
  const chips = element("div", "chips");
  const choose = (number) => {
    Object.assign(tool, { number, erase: false });
    mark();
  };
  data.classes.forEach((one, number) => {
    const chip = button("", `Label as ${one.name} (key ${number + 1})`, () => choose(number));
    const swatch = element("span", "swatch");
    swatch.style.background = one.colour;
    chip.append(swatch, one.name);
    chips.append(chip);
  });
  const eraser = button("Eraser", boxes ? "Click a box to take it away" : "Rub out", () => {
    tool.erase = !tool.erase;
    mark();
  });
  chips.append(eraser);
  const tools = element("div", "tools");
  const sizes = boxes ? [] : Object.keys(SIZES).map((name) => {
    const made = button(name, `Brush size ${name}`, () => ((tool.size = name), mark()));
    tools.append(made);
    return made;
  });
  tools.append(
    button("↶ Undo", "Undo the last change of this picture", undo),
    button("✕ Clear", "Take all labels off this picture", () => read().length && write([])),
  );
  function mark() {
    [...chips.children].forEach((chip, i) => {
      const on = chip === eraser ? tool.erase : !tool.erase && i === tool.number;
      chip.setAttribute("aria-pressed", String(on));
    });
    sizes.forEach((one) => one.setAttribute("aria-pressed", String(one.textContent === tool.size)));
    paint();
  }

  // Pictures
  const thumbs = element("div", "thumbs");
  for (const one of data.pictures) {
    const thumb = button("", one.name, () => show(one.id));
    thumb.dataset.id = one.id;
    const small = element("img");
    small.src = one.url;
    small.alt = "";
    thumb.append(small);
    thumbs.append(thumb);
  }
  function open(id) {
    now = null;
    held.shown = id;
    const one = data.pictures.find((other) => other.id === id);
    const scale = LONG / Math.max(one.width, one.height);
    canvas.width = Math.round(one.width * scale);
    canvas.height = Math.round(one.height * scale);
    canvas.style.maxWidth = `calc(62vh * ${one.width / one.height})`;
    canvas.style.aspectRatio = `${one.width} / ${one.height}`;
    canvas.setAttribute(
      "aria-label",
      `${one.name}: ${boxes ? "drag boxes" : "paint"} with mouse, pen or finger. Keys: arrows move, space ` +
        `${boxes ? "sets a corner" : "puts the brush down or lifts it"}, Delete takes the last one away, ` +
        "numbers choose the class.",
    );
    image.onload = paint;
    image.src = one.url;
    refresh();
  }
  function show(id) {
    open(id);
    root.send();
  }
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  const bar = element("div", "bar");
  bar.append(chips, tools);
  root.replaceChildren(bar, canvas, said, thumbs);
  thumbs.hidden = data.pictures.length < 2;
  open(held.shown);
  mark();
}

function button(text, label, action) {
  const made = element("button", "", text);
  made.type = "button";
  made.title = label;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", action);
  return made;
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
