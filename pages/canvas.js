// A board to draw a task on: a row of pads per class, and one pad for the query. Python gets
// {names: [name, ...], drawings: {"class-number": strokes}, query: strokes} after every stroke, where strokes
// are lists of points [x, y] in 0..1.

const PEN = 0.06; // share of the pad, as metalab.drawing.PEN

export default function ({ parentElement, data, setStateValue }) {
  const board = parentElement.querySelector(".board");
  board.held ??= data.board ?? { names: [], drawings: {}, query: [] };
  board.send = () => setStateValue("board", structuredClone(board.held));
  const size = `${data.way}-${data.shot}`;
  if (board.dataset.size === size) return;
  board.dataset.size = size;
  board.replaceChildren(classes(board, data), query(board));
}

function classes(board, data) {
  const list = element("div", "classes");
  for (let row = 0; row < data.way; row++) {
    const line = element("div", data.shot > 1 ? "class many" : "class");
    const label = element("label", "", `Class ${row + 1}`);
    const input = element("input");
    input.value = board.held.names[row] ??= String.fromCharCode(65 + row);
    input.maxLength = 40;
    input.addEventListener("change", () => {
      board.held.names[row] = input.value;
      board.send();
    });
    label.append(input);
    line.append(label);
    for (let column = 0; column < data.shot; column++) {
      const key = `${row}-${column}`;
      const read = () => (board.held.drawings[key] ??= []);
      const write = (strokes) => (board.held.drawings[key] = strokes);
      line.append(pad(board, `Example ${column + 1} of class ${row + 1}`, read, write));
    }
    list.append(line);
  }
  return list;
}

function query(board) {
  const box = element("div", "query");
  box.append(element("div", "title", "Query: which class is this?"));
  const write = (strokes) => (board.held.query = strokes);
  box.append(pad(board, "Query", () => board.held.query, write));
  return box;
}

function pad(board, name, read, write) {
  const box = element("div", "pad");
  const canvas = element("canvas");
  canvas.width = canvas.height = 240;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute(
    "aria-label",
    `${name}: draw with mouse, pen or finger. Keys: arrows move the pen, space puts it down or lifts it, Delete clears.`,
  );
  const context = canvas.getContext("2d");
  const cursor = { x: 0.5, y: 0.5, shown: false };
  let stroke = null;

  function paint() {
    context.clearRect(0, 0, 240, 240);
    context.lineWidth = 240 * PEN;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = context.fillStyle = getComputedStyle(board).color;
    for (const points of read()) {
      context.beginPath();
      points.forEach(([x, y]) => context.lineTo(240 * x, 240 * y));
      if (points.length === 1) context.lineTo(240 * points[0][0] + 0.1, 240 * points[0][1]);
      context.stroke();
    }
    if (!cursor.shown) return;
    context.beginPath();
    context.arc(240 * cursor.x, 240 * cursor.y, 9, 0, 7);
    context.lineWidth = 3;
    context[stroke ? "fill" : "stroke"]();
  }
  function begin(x, y) {
    stroke = [[x, y]];
    write([...read(), stroke]);
    paint();
  }
  function move(x, y) {
    const [lastX, lastY] = stroke.at(-1);
    if (Math.hypot(x - lastX, y - lastY) < 0.012) return; // finer steps are hardly seen
    stroke.push([x, y]);
    paint();
  }
  function end() {
    if (!stroke) return;
    stroke = null;
    paint();
    board.send();
  }
  function replace(strokes) {
    stroke = null;
    write(strokes);
    paint();
    board.send();
  }
  const place = (event) => placeOn(canvas, event);
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    cursor.shown = false;
    begin(...place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke || !canvas.hasPointerCapture(event.pointerId)) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) move(...place(part));
    move(...place(event));
  });
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Delete" || event.key === "Backspace") replace([]);
    else if (event.key === " ") stroke ? end() : begin(cursor.x, cursor.y);
    else if (event.key in KEYS) {
      cursor.x = Math.min(0.96, Math.max(0.04, cursor.x + 0.04 * KEYS[event.key][0]));
      cursor.y = Math.min(0.96, Math.max(0.04, cursor.y + 0.04 * KEYS[event.key][1]));
      if (stroke) move(cursor.x, cursor.y);
    } else return;
    event.preventDefault();
    cursor.shown = true;
    paint();
  });
  canvas.addEventListener("blur", () => {
    cursor.shown = false;
    end();
    paint();
  });
  const tools = element("div", "tools");
  tools.append(
    button("↶", `Undo the last stroke of ${name.toLowerCase()}`, () => replace(read().slice(0, -1))),
    button("✕", `Clear ${name.toLowerCase()}`, () => replace([])),
  );
  box.append(canvas, tools);
  requestAnimationFrame(paint); // the colour is known once the board is on the page
  return box;
}
