// The pad where a party signs: strokes with time and pressure, in micrometres of the screen.

const UM_PER_PX = 25400 / 96;

for (const canvas of document.querySelectorAll("[data-pad]")) {
  const form = canvas.closest("form");
  const field = form.querySelector("input[name=strokes]");
  const pen = canvas.getContext("2d");
  let strokes = [];
  let began = null;
  let last = 0;

  function clear() {
    strokes = [];
    began = null;
    field.value = "";
    canvas.parentElement.classList.remove("written");
    draw();
  }

  function draw() {
    const { width, height } = canvas.getBoundingClientRect();
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.lineCap = "round";
    pen.strokeStyle = getComputedStyle(canvas).color;
    for (const stroke of strokes) stroke.forEach((_, at) => segment(stroke, at));
  }

  function segment(stroke, at) {
    const [x, y, , pressure] = stroke[at];
    const [fromX, fromY] = stroke[Math.max(0, at - 1)];
    pen.lineWidth = 1.2 + (2.4 * pressure) / 1000;
    pen.beginPath();
    pen.moveTo(fromX / UM_PER_PX, fromY / UM_PER_PX);
    pen.lineTo(x / UM_PER_PX, y / UM_PER_PX);
    pen.stroke();
  }

  function point(event) {
    const box = canvas.getBoundingClientRect();
    began ??= event.timeStamp;
    last = Math.max(last, Math.round(event.timeStamp - began));
    const within = (value, most) => Math.round(Math.min(Math.max(value, 0), most) * UM_PER_PX);
    // A mouse has no pressure; browsers say a half for it.
    return [within(event.clientX - box.left, box.width), within(event.clientY - box.top, box.height), last, Math.round(1000 * event.pressure)];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || strokes.open) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    canvas.parentElement.classList.add("written");
    strokes.push([point(event)]);
    strokes.open = event.pointerId;
    segment(strokes.at(-1), 0);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (strokes.open !== event.pointerId) return;
    const stroke = strokes.at(-1);
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      stroke.push(point(each));
      segment(stroke, stroke.length - 1);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (strokes.open !== event.pointerId) return;
      strokes.open = undefined;
      field.value = JSON.stringify(strokes);
    });
  }

  form.querySelector("[data-pad-clear]").addEventListener("click", clear);
  form.closest("details").addEventListener("toggle", draw);
  new ResizeObserver(draw).observe(canvas.parentElement);
  draw();
}
