// What the boards to draw and to label on are made of. Python puts this before them.

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

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

/** Return the place of a pointer on `canvas`, in 0..1. */
function placeOn(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const share = (value) => Math.round(10000 * Math.min(1, Math.max(0, value))) / 10000;
  return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)];
}
