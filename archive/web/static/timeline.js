// The time axis of a case: spans at their place in time, zoom and move by hand, wheel and keys.

const ZONE_MS = 8 * 3600 * 1000; // the bureau's zone, as on every page
const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [
  SECOND, 5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 364 * DAY,
];
const LEAST_MS = 10 * SECOND;
const TICK_PX = 92;
const NARROW_PX = 34;
const LEAST_PX = 5;
const ROW_PX = 28;

function local(ms) {
  return new Date(ms + ZONE_MS).toISOString();
}

function dayText(ms) { return local(ms).slice(0, 10); }
function clockText(ms, step) { return local(ms).slice(11, step < MINUTE ? 19 : 16); }

class Axis {
  constructor(root) {
    this.root = root;
    this.frame = root.querySelector("[data-axis-frame]");
    this.scale = root.querySelector("[data-axis-scale]");
    this.shown = root.querySelector("[data-axis-shown]");
    this.lanes = [...root.querySelectorAll("[data-axis-spans]")].map((lane) => ({
      lane,
      spans: [...lane.children].map((element) => ({
        element, from: Date.parse(element.dataset.from), to: Date.parse(element.dataset.to),
      })),
    }));
    const spans = this.lanes.flatMap(({ spans }) => spans);
    const [from, to] = [Math.min(...spans.map((span) => span.from)), Math.max(...spans.map((span) => span.to))];
    this.whole = this.padded(from, to);
    [this.from, this.to] = this.first() ?? this.whole;
    root.classList.add("axis-live");
    root.querySelector("[data-axis-tools]").hidden = false;
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.scale);
    this.draw();
  }

  // At first the hours of the footage are shown: papers are often filed weeks later.
  first() {
    const spans = [...this.root.querySelectorAll(".axis-lane-device .axis-span:not(.axis-unsure)")].map(({ dataset }) => dataset);
    if (!spans.length) return null;
    return this.padded(
      Math.min(...spans.map(({ from }) => Date.parse(from))) - 5 * MINUTE,
      Math.max(...spans.map(({ to }) => Date.parse(to))) + 5 * MINUTE,
    );
  }

  padded(from, to) {
    const room = Math.max((to - from) * 0.04, LEAST_MS / 2);
    return [from - room, to + room];
  }

  // Show from..to, not closer than LEAST_MS and not farther than everything.
  show(from, to) {
    const [first, last] = this.whole;
    const wide = Math.min(Math.max(to - from, LEAST_MS), last - first);
    const middle = (from + to) / 2;
    this.from = Math.min(Math.max(middle - wide / 2, first), last - wide);
    this.to = this.from + wide;
    this.draw();
  }

  zoom(factor, at = (this.from + this.to) / 2) {
    this.show(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }

  move(part) {
    const by = (this.to - this.from) * part;
    this.show(this.from + by, this.to + by);
  }

  timeAt(clientX) {
    const box = this.scale.getBoundingClientRect();
    return this.from + (this.to - this.from) * (clientX - box.left) / box.width;
  }

  draw() {
    const width = this.scale.clientWidth;
    if (!width) return;
    const perMs = width / (this.to - this.from);
    for (const { lane, spans } of this.lanes) {
      const rows = []; // where each row of the lane is free again, in pixels
      for (const { element, from, to } of spans) {
        const left = (from - this.from) * perMs;
        const wide = Math.max((to - from) * perMs, LEAST_PX);
        element.hidden = left > width || left + wide < 0;
        if (element.hidden) continue;
        const start = Math.max(left, -2), end = Math.min(left + wide, width + 2);
        let row = rows.findIndex((free) => free <= start);
        if (row < 0) row = rows.push(0) - 1;
        rows[row] = end + 1;
        element.style.left = `${start}px`;
        element.style.width = `${Math.max(end - start, LEAST_PX)}px`;
        element.style.top = `${7 + row * ROW_PX}px`;
        element.classList.toggle("axis-narrow", end - start < NARROW_PX);
      }
      lane.style.height = `${10 + Math.max(rows.length, 1) * ROW_PX}px`;
    }
    this.drawScale(width, perMs);
  }

  drawScale(width, perMs) {
    const step = STEPS.find((candidate) => candidate * perMs >= TICK_PX) ?? STEPS.at(-1);
    const ticks = [];
    let day = "";
    for (let at = Math.ceil((this.from + ZONE_MS) / step) * step - ZONE_MS; at < this.to; at += step) {
      const tick = document.createElement("span");
      const isNewDay = dayText(at) !== day;
      day = dayText(at);
      tick.className = isNewDay ? "axis-tick axis-tick-day" : "axis-tick";
      tick.textContent = step >= DAY ? day : isNewDay && ticks.length ? `${day.slice(5)} ${clockText(at, step)}` : clockText(at, step);
      tick.style.left = `${(at - this.from) * perMs}px`;
      ticks.push(tick);
    }
    this.scale.replaceChildren(...ticks);
    const [first, last] = [this.from, this.to];
    this.shown.textContent = dayText(first) === dayText(last)
      ? `${dayText(first)} ${clockText(first, step)} – ${clockText(last, step)}`
      : `${dayText(first)} – ${dayText(last)}`;
  }

  do(what) {
    switch (what) {
      case "in": this.zoom(0.5); break;
      case "out": this.zoom(2); break;
      case "earlier": this.move(-0.5); break;
      case "later": this.move(0.5); break;
      case "all": this.show(...this.whole); break;
    }
  }

  listen() {
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-do]");
      if (button) this.do(button.dataset.do);
      const act = event.target.closest("[data-axis-show]");
      if (act && !this.dragged) {
        const { from, to } = act.closest("[data-from]").dataset;
        this.show(...this.padded(Date.parse(from), Math.max(Date.parse(to), Date.parse(from) + 30 * MINUTE)));
      }
    });
    this.root.addEventListener("click", (event) => {
      if (this.dragged && event.target.closest("a")) event.preventDefault();
    }, true);
    this.frame.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const what = { "+": "in", "=": "in", "-": "out", ArrowLeft: "earlier", ArrowRight: "later", "0": "all" }[event.key];
      if (!what) return;
      event.preventDefault();
      this.do(what);
    });
    this.frame.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey) this.zoom(Math.exp(event.deltaY / 300), this.timeAt(event.clientX));
      else if (event.deltaX && Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move(event.deltaX / this.scale.clientWidth);
      else return; // the page scrolls
      event.preventDefault();
    }, { passive: false });
    // What has the focus is brought into view.
    this.frame.addEventListener("focusin", (event) => {
      const span = event.target.closest("[data-from]");
      if (!span || this.pointers.size) return;
      const [from, to] = [Date.parse(span.dataset.from), Date.parse(span.dataset.to)];
      const wide = this.to - this.from;
      if (to < this.from || from > this.to) this.show((from + to - wide) / 2, (from + to + wide) / 2);
    });
    this.listenToHands();
  }

  // One finger or the mouse moves, two fingers zoom.
  listenToHands() {
    this.pointers = new Map();
    this.dragged = false;
    this.frame.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      if (!this.pointers.size) this.dragged = false;
      this.pointers.set(event.pointerId, event.clientX);
    });
    window.addEventListener("pointermove", (event) => {
      const before = this.pointers.get(event.pointerId);
      if (before === undefined) return;
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
      if (others.length) {
        const [old, now] = [Math.abs(before - others[0]), Math.abs(event.clientX - others[0])];
        if (old > 8 && now > 8) this.zoom(old / now, this.timeAt((event.clientX + others[0]) / 2));
      } else if (this.dragged || Math.abs(event.clientX - before) > 4) {
        this.dragged = true;
        this.frame.classList.add("axis-held");
        this.move((before - event.clientX) / this.scale.clientWidth);
      } else return;
      this.pointers.set(event.pointerId, event.clientX);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      window.addEventListener(name, (event) => {
        this.pointers.delete(event.pointerId);
        if (!this.pointers.size) this.frame.classList.remove("axis-held");
      });
    }
    this.frame.addEventListener("dragstart", (event) => event.preventDefault());
  }
}

for (const root of document.querySelectorAll("[data-axis]")) new Axis(root);
