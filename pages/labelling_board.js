// The picture that is labelled: a canvas for mouse, pen, finger and keys.

const FINEST = 0.004; // finer steps are hardly seen

/** `read` and `write` give and take the labels of the picture shown; `tool` is what the hand holds. */
function makeBoard({ boxes, classes, tool, read, write, undo, choose, onPick }) {
  const canvas = element("canvas");
  const context = canvas.getContext("2d");
  const layer = document.createElement("canvas"); // strokes, opaque
  const image = new Image();
  let now = null; // the stroke that is being painted, or how a box changes under the hand: see labelling_boxes.js
  let chosen = null; // the box that shows handles
  let cursor = null; // where the brush is: that of the mouse, or of the keys
  let byKeys = false;

  function paint() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (image.complete && image.naturalWidth) context.drawImage(image, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 0.55;
    context.drawImage(layer, 0, 0);
    context.globalAlpha = 1;
    if (boxes) paintBoxes();
    if (!cursor || (boxes && !byKeys && canvas.style.cursor)) return; // a hand that moves a box draws none
    const radius = boxes ? 9 : Math.max(4, (tool.width * LONG) / 2);
    drawBrush(context, cursor, radius, tool.erase ? "#333" : classes[tool.number].colour, byKeys);
  }
  function paintBoxes() {
    const framed = read().filter((box) => classes[box[0]] && box !== now?.old);
    if (now) framed.push(now.box);
    for (const box of framed) drawBox(context, classes[box[0]], box);
    const shown = now?.box ?? picked();
    if (shown && classes[shown[0]]) drawHandles(context, classes[shown[0]].colour, shown);
  }
  /** The chosen box, if it is still there: undoing may have taken it away. */
  const picked = () => read().find((box) => box === chosen) ?? null;
  function pick(box) {
    chosen = box;
    onPick(picked() !== null);
  }
  const visible = () => read().filter((box) => classes[box[0]]);
  function redraw() {
    layer.width = canvas.width; // clears it
    layer.height = canvas.height;
    const strokes = boxes ? [] : read().filter((stroke) => stroke[0] < classes.length);
    for (const stroke of strokes) paintStroke(layer, classes, stroke);
    paint();
  }
  /** Press at a place: grab a corner of the chosen box, else the box there, else begin a new one. */
  function begin(at, reach, anew) {
    if (boxes) {
      now = (!anew && (grabCorner(picked(), at, reach) ?? grabBox(visible(), at))) || newBox(tool.number, at);
      pick(now.old);
    } else {
      now = [tool.erase ? -1 : tool.number, tool.width, [at]];
      paintStroke(layer, classes, now);
    }
    paint();
  }
  function move([x, y]) {
    if (boxes) now.box = now.to(x, y);
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
    if (!boxes) write([...read(), thing]);
    else if (isSlip(thing)) paint();
    else {
      chosen = thing.box; // before it is written, which says what is chosen
      write(thing.old ? read().map((box) => (box === thing.old ? thing.box : box)) : [...read(), thing.box]);
    }
  }
  function cancel() {
    now = null;
    redraw();
  }
  /** Take the chosen box away, else what was labelled last. */
  function remove() {
    now = null;
    const gone = picked() ?? read().at(-1);
    if (gone) write(read().filter((thing) => thing !== gone));
  }
  /** Show by the pointer what pressing here would do. */
  function hint(at, reach, anew) {
    const corner = !anew && grabCorner(picked(), at, reach);
    canvas.style.cursor = corner ? corner.cursor : !anew && boxAt(visible(), at) ? "move" : "";
  }
  /** How near to a corner is near enough, as shares of the two sides: a finger is less exact than a mouse. */
  function reachOf(type) {
    const box = canvas.getBoundingClientRect();
    const pixels = type === "touch" ? 24 : 11;
    return [pixels / box.width, pixels / box.height];
  }
  const place = (event) => placeOn(canvas, event);
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || now) return;
    canvas.setPointerCapture(event.pointerId);
    byKeys = false;
    begin(place(event), reachOf(event.pointerType), event.shiftKey);
  });
  canvas.addEventListener("pointermove", (event) => {
    cursor = event.pointerType === "touch" ? null : place(event);
    byKeys = false;
    if (!now || !canvas.hasPointerCapture(event.pointerId)) {
      if (boxes) hint(place(event), reachOf(event.pointerType), event.shiftKey);
      return paint();
    }
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
      else begin(cursor, reachOf("keys"), event.shiftKey);
    } else if (event.key === "Delete" || event.key === "Backspace") remove();
    else if (event.key === "Escape") cancel();
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
    pick(null);
    const scale = LONG / Math.max(one.width, one.height);
    canvas.width = Math.round(one.width * scale);
    canvas.height = Math.round(one.height * scale);
    canvas.style.maxWidth = `calc(62vh * ${one.width / one.height})`; // all of it in sight
    canvas.style.aspectRatio = `${one.width} / ${one.height}`;
    const how = boxes
      ? ["drag boxes, or drag one to move it,", "takes hold of a corner or a box and lets go, with Shift draws"]
      : ["paint", "puts the brush down or lifts it"];
    canvas.setAttribute(
      "aria-label",
      `${one.name}: ${how[0]} with mouse, pen or finger. Keys: arrows move, space ${how[1]}, ` +
        `Delete takes the ${boxes ? "chosen or " : ""}last one away, numbers choose the class.`,
    );
    image.src = one.url;
    redraw();
  }
  return { canvas, paint, redraw, open, remove, picked };
}
