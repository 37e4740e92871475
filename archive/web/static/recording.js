// The player of a whole recording: clip after clip on one axis. Two media elements take turns, so that the next clip is
// ready when the one before it ends; the files stay as they are.

const RATES = [0.25, 0.5, 1, 1.5, 2, 4];
const CONTROLS = "input:not([type=range]), textarea, select, button, summary, a, [contenteditable]";
const LEEWAY_MS = 2000; // an address was made before its time begins to count here
const ZONE_MS = 8 * 3600 * 1000; // the bureau's zone, as on every page
const KEYS = {
  " ": "toggle", k: "toggle", j: "back", l: "on", ArrowLeft: "left", ArrowRight: "right", "<": "slower", ">": "faster",
};

function clockText(ms) {
  return new Date(ms + ZONE_MS).toISOString().slice(0, 19).replace("T", " ");
}

class Joint {
  constructor(root) {
    this.root = root;
    this.startMs = Date.parse(root.dataset.startsAt);
    this.clips = [...root.querySelectorAll("[data-clip]")].map((button) => ({
      button,
      number: button.dataset.clip,
      source: button.dataset.source,
      start: Number(button.dataset.startsMs) / 1000,
      end: (Number(button.dataset.startsMs) + Number(button.dataset.lastsMs)) / 1000,
    }));
    this.screens = [...root.querySelectorAll("video")];
    this.loaded = [-1, -1]; // which clip each element holds
    this.loadedAt = [0, 0];
    this.leaseMs = Number(root.dataset.leaseMs ?? Infinity);
    this.active = 0;
    this.current = -1;
    this.wanted = null; // a place that the axis was moved to, until the picture is there
    this.axis = root.querySelector("[data-axis]");
    this.speed = root.querySelector("[data-speed]");
    this.listen();
    this.show(0, 0, true);
    this.axis.focus({ preventScroll: true });
  }

  get media() { return this.screens[this.active]; }

  get position() { return this.wanted ?? this.clips[this.current].start + this.media.currentTime; }

  listen() {
    for (const screen of this.screens) {
      for (const name of ["timeupdate", "seeked"]) screen.addEventListener(name, () => this.moved(screen));
      screen.addEventListener("playing", () => { if (screen === this.media) this.prepareNext(); });
      screen.addEventListener("ended", () => { if (screen === this.media) this.follow(); });
      screen.addEventListener("error", () => this.renew(screen));
      screen.addEventListener("waiting", () => { if (performance.now() - this.loadedAt[this.screens.indexOf(screen)] > this.leaseMs - LEEWAY_MS) this.renew(screen); });
      screen.addEventListener("click", () => this.do("toggle"));
    }
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-do], [data-clip]");
      if (button?.dataset.do) this.do(button.dataset.do);
      else if (button) this.show(this.clips.findIndex((clip) => clip.button === button), 0, true);
    });
    this.axis.addEventListener("input", () => this.seek(Number(this.axis.value)));
    this.speed.addEventListener("change", () => this.setRate(Number(this.speed.value)));
  }

  moved(screen) {
    if (screen !== this.media) return;
    if (!screen.seeking && screen.readyState >= 2) this.wanted = null;
    this.tell();
  }

  // Shows a clip from a place in it; the element that is ready for it takes over.
  show(index, at, plays) {
    const other = 1 - this.active;
    if (this.loaded[this.active] !== index) {
      this.media.pause();
      if (this.loaded[other] !== index) this.load(other, index);
      this.active = other;
    }
    this.current = index;
    this.screens.forEach((screen, number) => screen.classList.toggle("is-active", number === this.active));
    const media = this.media;
    media.playbackRate = Number(this.speed.value);
    if (at || media.currentTime) media.currentTime = at;
    if (plays) media.play().catch(() => {}); // refused where a browser wants a press first
    this.clips.forEach((clip, number) => clip.button.toggleAttribute("aria-current", number === index));
    this.root.dataset.current = this.clips[index].number;
    this.tell();
  }

  load(screen, index) {
    this.loaded[screen] = index;
    this.loadedAt[screen] = performance.now();
    this.screens[screen].src = this.clips[index].source;
    this.screens[screen].load();
  }

  // What a browser was led to may be good for a short while only: our own address leads anew. Twice at one place is trouble.
  renew(screen) {
    const number = this.screens.indexOf(screen);
    if (screen !== this.media) {
      this.loaded[number] = -1; // loaded again when it is its turn
      return;
    }
    const at = this.wanted === null ? screen.currentTime : this.wanted - this.clips[this.current].start;
    const place = `${this.current} ${at}`;
    if (this.renewed === place) {
      this.root.querySelector("[data-trouble]").hidden = false;
      return;
    }
    this.renewed = place;
    const plays = !screen.paused;
    this.load(number, this.current);
    screen.currentTime = at;
    screen.playbackRate = Number(this.speed.value);
    if (plays) screen.play().catch(() => {});
  }

  prepareNext() {
    const other = 1 - this.active, next = this.current + 1;
    if (next < this.clips.length && this.loaded[other] !== next) this.load(other, next);
  }

  // On to the next clip when one has ended: what lies between two clips has no picture.
  follow() {
    if (this.current + 1 < this.clips.length) this.show(this.current + 1, 0, true);
    else this.tell();
  }

  // Moves to a place on the axis: into the clip that lies there, behind a gap to the start of the next one.
  seek(seconds) {
    const place = Math.min(Math.max(0, seconds), Number(this.axis.max));
    let index = this.clips.findLastIndex((clip) => clip.start <= place);
    if (index < 0) index = 0;
    else if (place >= this.clips[index].end && index + 1 < this.clips.length) index += 1;
    const clip = this.clips[index];
    const at = Math.min(Math.max(0, place - clip.start), Math.max(0, clip.end - clip.start));
    this.wanted = clip.start + at;
    this.show(index, at, !this.media.paused || this.media.ended);
  }

  setRate(rate) {
    this.speed.value = String(rate);
    for (const screen of this.screens) screen.playbackRate = rate;
  }

  do(what) {
    const rate = RATES.indexOf(Number(this.speed.value));
    switch (what) {
      case "toggle": if (this.media.paused) this.media.play().catch(() => {}); else this.media.pause(); break;
      case "back": this.seek(this.position - 10); break;
      case "on": this.seek(this.position + 10); break;
      case "left": this.seek(this.position - 5); break;
      case "right": this.seek(this.position + 5); break;
      case "slower": this.setRate(RATES[Math.max(0, rate - 1)]); break;
      case "faster": this.setRate(RATES[Math.min(RATES.length - 1, rate + 1)]); break;
    }
  }

  tell() {
    const place = this.position, time = clockText(this.startMs + Math.round(place * 1000));
    const text = this.root.dataset.text.replace("{clip}", this.clips[this.current].number).replace("{time}", time);
    this.axis.value = String(place);
    this.axis.setAttribute("aria-valuetext", text);
    this.root.querySelector("[data-time]").textContent = time;
    this.root.querySelector("[data-clip-text]").textContent =
      this.root.dataset.label.replace("{clip}", this.clips[this.current].number);
  }
}

let current = null;

document.addEventListener("keydown", (event) => {
  if (!current?.root.isConnected || event.ctrlKey || event.metaKey || event.altKey) return;
  const what = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!what || event.target.closest(CONTROLS)) return;
  event.preventDefault();
  current.do(what);
}, true);

function start(scope) {
  const root = scope.matches?.("[data-joint]") ? scope : scope.querySelector?.("[data-joint]");
  if (root && root !== current?.root) current = new Joint(root);
}

start(document);
document.addEventListener("htmx:load", (event) => start(event.detail.elt));
