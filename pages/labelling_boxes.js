// What a hand does to boxes [class, x, y, x, y]. A change under the hand is {old, box, to, cursor}: the box that
// was there (null: a new one), what becomes of it, and the function that gives this for a place.

const SMALLEST = 0.012; // shorter is a slip of the hand

function newBox(number, [x, y]) {
  return { old: null, box: [number, x, y, x, y], to: (toX, toY) => [number, x, y, toX, toY] };
}

/** Return the smallest of `boxes` around a place. */
function boxAt(boxes, [x, y]) {
  const area = (box) => Math.abs((box[3] - box[1]) * (box[4] - box[2]));
  const inside = ([, x1, y1, x2, y2]) => (x - x1) * (x - x2) <= 0 && (y - y1) * (y - y2) <= 0;
  return boxes.filter(inside).sort((one, other) => area(one) - area(other))[0];
}

/** Take hold of the box at a place, to move it within the picture; null where there is none. */
function grabBox(boxes, [x, y]) {
  const old = boxAt(boxes, [x, y]);
  if (!old) return null;
  const [number, x1, y1, x2, y2] = old;
  const within = (step, a, b) => Math.min(1 - Math.max(a, b), Math.max(-Math.min(a, b), step));
  const to = (toX, toY) => {
    const [dx, dy] = [within(toX - x, x1, x2), within(toY - y, y1, y2)];
    return [number, x1 + dx, y1 + dy, x2 + dx, y2 + dy];
  };
  return { old, box: [...old], to, cursor: "move" };
}

/** Take hold of the corner of `old` that is within `reach` (x, y) of a place, else return null. */
function grabCorner(old, [x, y], reach) {
  if (!old) return null;
  const [number, ...places] = old;
  for (const [i, j] of [[0, 1], [2, 1], [0, 3], [2, 3]]) {
    const [cornerX, cornerY, otherX, otherY] = [places[i], places[j], places[2 - i], places[4 - j]];
    if (!near(x, cornerX, otherX, reach[0]) || !near(y, cornerY, otherY, reach[1])) continue;
    const [gripX, gripY] = [cornerX - x, cornerY - y]; // so that nothing jumps when it is taken hold of
    const share = (value) => Math.min(1, Math.max(0, value));
    const to = (toX, toY) => [number, otherX, otherY, share(toX + gripX), share(toY + gripY)];
    const falling = (cornerX - otherX) * (cornerY - otherY) > 0;
    return { old, box: [...old], to, cursor: falling ? "nwse-resize" : "nesw-resize" };
  }
  return null;
}

/** Whether `value` is at `corner`; the middle of even a small box is left, to move it by. */
function near(value, corner, other, reach) {
  const inward = (value - corner) * Math.sign(other - corner);
  return inward > -reach && inward < Math.min(reach, Math.abs(other - corner) / 3);
}

/** Whether a change leaves all as it was, or hardly anything of the box. */
function isSlip({ old, box }) {
  if (old?.every((value, i) => value === box[i])) return true;
  return Math.min(Math.abs(box[3] - box[1]), Math.abs(box[4] - box[2])) < SMALLEST;
}
