// What labels look like: painted strokes, framed boxes, and the brush under the hand.

const LONG = 960; // pixels of the canvas along the longer side

/** Paint the way of `stroke` from its point number `from` on into `layer`. */
function paintStroke(layer, classes, stroke, from = 0) {
  const [number, share, points] = stroke;
  const pen = layer.getContext("2d");
  const places = points.slice(Math.max(0, from)).map(([x, y]) => [x * layer.width, y * layer.height]);
  pen.globalCompositeOperation = number < 0 ? "destination-out" : "source-over";
  pen.strokeStyle = classes[number]?.colour ?? "#000";
  pen.lineWidth = share * LONG;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  for (const place of places) pen.lineTo(...place);
  if (places.length < 2) pen.lineTo(places[0][0] + 0.1, places[0][1]); // a dot
  pen.stroke();
}

/** Return how many pixels of the canvas are one on the screen, so that names are read on a phone. */
function unitOf(canvas) {
  return canvas.clientWidth ? canvas.width / canvas.clientWidth : 1;
}

/** Draw a box with the name of its class; the white around it shows on any ground. */
function drawBox(context, one, [, x1, y1, x2, y2]) {
  const { width, height } = context.canvas;
  const place = [Math.min(x1, x2) * width, Math.min(y1, y2) * height];
  const size = [Math.abs(x2 - x1) * width, Math.abs(y2 - y1) * height];
  const unit = unitOf(context.canvas);
  for (const [line, colour] of [[5, "#fff"], [3, one.colour]]) {
    context.lineWidth = line * unit;
    context.strokeStyle = colour;
    context.strokeRect(...place, ...size);
  }
  context.font = `600 ${14 * unit}px sans-serif`;
  const [tall, left, line] = [19 * unit, place[0] + 4 * unit, 14 * unit];
  const top = place[1] >= tall ? place[1] - tall : place[1];
  context.fillStyle = one.colour;
  context.fillRect(place[0], top, context.measureText(one.name).width + 8 * unit, tall);
  context.fillStyle = "#fff";
  context.strokeStyle = "#0009";
  context.lineWidth = 2 * unit;
  context.strokeText(one.name, left, top + line);
  context.fillText(one.name, left, top + line);
}

/** Draw a handle on each corner of the chosen box. */
function drawHandles(context, colour, [, x1, y1, x2, y2]) {
  const { width, height } = context.canvas;
  const unit = unitOf(context.canvas);
  const side = 11 * unit;
  context.lineWidth = 2 * unit;
  context.strokeStyle = colour;
  context.fillStyle = "#fff";
  for (const [x, y] of [[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) {
    const place = [x * width - side / 2, y * height - side / 2, side, side];
    context.fillRect(...place);
    context.strokeRect(...place);
  }
}

/** Draw the brush at `place`; one that is moved by keys has a cross, to be found again. */
function drawBrush(context, place, radius, colour, cross) {
  const [x, y] = [place[0] * context.canvas.width, place[1] * context.canvas.height];
  for (const [line, tone] of [[5, "#fff"], [2.5, colour]]) {
    context.lineWidth = line;
    context.strokeStyle = tone;
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    if (cross) {
      context.moveTo(x - 14, y);
      context.lineTo(x + 14, y);
      context.moveTo(x, y - 14);
      context.lineTo(x, y + 14);
    }
    context.stroke();
  }
}
