// The picture that is labelled: a canvas for mouse, pen, finger and keys.

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SMALLEST = 0.012; // a shorter drag is a slip of the hand
const FINEST = 0.004; // finer steps are hardly seen

/** `read` and `write` give and take the labels of the picture shown; `tool` is what the hand holds. */
function makeBoard({ boxes, classes, tool, read, write, undo, choose }) {
  const canvas = element("canvas");
  const context = canvas.getContext("2d");
  const layer = document.createElement("canvas"); // strokes, opaque
  const image = new Image();
  let now = null; // what is being drawn
  let cursor = null; // where the brush is: that of the mouse, or of the keys
  let byKeys = false;

  function paint() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (image.complete && image.naturalWidth) context.drawImage(image, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 0.55;
    context.drawImage(layer, 0, 0);
    context.globalAlpha = 1;
    const framed = boxes ? [...read(), ...(now ? [now] : [])] : [];
    for (const box of framed) if (classes[box[0]]) drawBox(context, classes[box[0]], box);
    if (!cursor) return;
    const radius = boxes ? 9 : Math.max(4, (tool.width * LONG) / 2);
    drawBrush(context, cursor, radius, tool.erase ? "#333" : classes[tool.number].colour, byKeys);
  }
  function redraw() {
    layer.width = canvas.width; // clears it
    layer.height = canvas.height;
    const strokes = boxes ? [] : read().filter((stroke) => stroke[0] < classes.length);
    for (const stroke of strokes) paintStroke(layer, classes, stroke);
    paint();
  }
  function begin([x, y]) {
    if (boxes && tool.erase) return remove(x, y);
    now = boxes ? [tool.number, x, y, x, y] : [tool.erase ? -1 : tool.number, tool.width, [[x, y]]];
    if (!boxes) paintStroke(layer, classes, now);
    paint();
  }
  function move([x, y]) {
    if (boxes) now.splice(3, 2, x, y);
    else {
      const [lastX, lastY] = now[2].at(-1);
      if (Math.hypot(x - lastX, y - lastY) < FINEST) return;
      now[2].push([x, y]);
      paintStroke(layer, classes, now, now[2].length - 2);
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
    redraw();
  }
  function remove(x, y) {
    const area = (box) => Math.abs((box[3] - box[1]) * (box[4] - box[2]));
    const inside = ([, x1, y1, x2, y2]) => (x - x1) * (x - x2) <= 0 && (y - y1) * (y - y2) <= 0;
    const hit = read().filter(inside).sort((one, other) => area(one) - area(other))[0];
    if (hit) write(read().filter((box) => box !== hit));
  }
  function place(event) {
    const box = canvas.getBoundingClientRect();
    const share = (value) => Math.round(10000 * Math.min(1, Math.max(0, value))) / 10000;
    return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)];
  }
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
  const leave = () => {
    cursor = null;
    byKeys = false;
    paint();
  };
  canvas.addEventListener("pointerleave", () => now || byKeys || leave());
  canvas.addEventListener("blur", () => {
    end();
    leave();
  });
  canvas.addEventListener("keydown", (event) => {
    const number = Number(event.key) - 1;
    if (event.key in KEYS) {
      const step = event.shiftKey ? 0.005 : 0.03;
      const from = byKeys && cursor ? cursor : [0.5, 0.5];
      cursor = from.map((value, i) => Math.min(1, Math.max(0, value + step * KEYS[event.key][i])));
      byKeys = true;
      if (now) move(cursor);
    } else if (event.key === " ") {
      cursor ??= [0.5, 0.5];
      byKeys = true;
      if (now) end();
      else begin(cursor);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      now = null;
      if (read().length) write(read().slice(0, -1));
    } else if (event.key === "Escape") cancel();
    else if (event.key === "z" && (event.ctrlKey || event.metaKey)) now ? cancel() : undo();
    else if (number >= 0 && number < classes.length) choose(number);
    else return;
    event.preventDefault();
    paint();
  });
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  image.onload = paint;

  function open(one) {
    now = null;
    const scale = LONG / Math.max(one.width, one.height);
    canvas.width = Math.round(one.width * scale);
    canvas.height = Math.round(one.height * scale);
    canvas.style.maxWidth = `calc(62vh * ${one.width / one.height})`; // all of it in sight
    canvas.style.aspectRatio = `${one.width} / ${one.height}`;
    const how = boxes ? ["drag boxes", "sets a corner"] : ["paint", "puts the brush down or lifts it"];
    canvas.setAttribute(
      "aria-label",
      `${one.name}: ${how[0]} with mouse, pen or finger. Keys: arrows move, space ${how[1]}, ` +
        "Delete takes the last one away, numbers choose the class.",
    );
    image.src = one.url;
    redraw();
  }
  return { canvas, paint, redraw, open };
}
