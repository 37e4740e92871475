// The player: native controls, and beside them frame steps, speed, keys, and the time that the device showed.

import { Source } from "./player-source.js";

const RATES = [0.25, 0.5, 1, 1.5, 2, 4];
const CONTROLS = "input, textarea, select, button, summary, a, [contenteditable]";
const ZONE_MS = 8 * 3600 * 1000; // the bureau's zone, as on every page

function clockText(ms) {
  return new Date(ms + ZONE_MS).toISOString().slice(0, 23).replace("T", " ");
}

class Player {
  constructor(root) {
    this.root = root;
    this.media = root.querySelector("video, audio");
    this.frame = 1 / Number(root.dataset.frameRate);
    this.speed = root.querySelector("[data-speed]");
    this.recordedMs = Date.parse(root.dataset.recordedAt ?? "");
    this.offsetMs = Number(root.dataset.clockOffsetMs ?? 0);
    this.deviceTime = root.querySelector("[data-device-time]");
    this.trueTime = root.querySelector("[data-true-time]");
    root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-do]");
      if (button) this.do(button.dataset.do);
    });
    this.speed.addEventListener("change", () => { this.media.playbackRate = Number(this.speed.value); });
    this.source = new Source(root, this.media, { onTrouble: () => { root.querySelector("[data-trouble]").hidden = false; } });
    for (const name of ["timeupdate", "seeked", "loadedmetadata"]) {
      this.media.addEventListener(name, () => this.showTime(this.media.currentTime));
    }
    this.followFrames();
    this.media.focus({ preventScroll: true });
  }

  // The time of the frame that is seen is truer than the clock of the element.
  followFrames() {
    if (!this.media.requestVideoFrameCallback) return;
    const seen = (_, frame) => {
      this.showTime(frame.mediaTime);
      if (this.root.isConnected) this.media.requestVideoFrameCallback(seen);
    };
    this.media.requestVideoFrameCallback(seen);
  }

  showTime(seconds) {
    if (!this.deviceTime || Number.isNaN(this.recordedMs)) return;
    const deviceMs = this.recordedMs + Math.round((seconds + this.source.offset) * 1000);
    this.deviceTime.textContent = clockText(deviceMs);
    if (this.trueTime) this.trueTime.textContent = clockText(deviceMs - this.offsetMs);
  }

  seek(seconds) {
    const end = Number.isFinite(this.media.duration) ? this.media.duration : Infinity;
    this.media.currentTime = Math.min(Math.max(0, this.media.currentTime + seconds), end);
  }

  step(frames) {
    this.media.pause();
    this.seek(frames * this.frame);
  }

  setRate(steps) {
    const at = RATES.indexOf(this.media.playbackRate);
    const rate = RATES[Math.min(Math.max((at < 0 ? 2 : at) + steps, 0), RATES.length - 1)];
    this.media.playbackRate = rate;
    this.speed.value = String(rate);
  }

  do(what) {
    switch (what) {
      case "toggle": if (this.media.paused) this.media.play(); else this.media.pause(); break;
      case "back": this.seek(-10); break;
      case "on": this.seek(10); break;
      case "left": this.seek(-5); break;
      case "right": this.seek(5); break;
      case "previous": this.step(-1); break;
      case "next": this.step(1); break;
      case "slower": this.setRate(-1); break;
      case "faster": this.setRate(1); break;
      case "louder": this.media.volume = Math.min(1, this.media.volume + 0.1); break;
      case "softer": this.media.volume = Math.max(0, this.media.volume - 0.1); break;
    }
  }
}

const KEYS = {
  " ": "toggle", k: "toggle", j: "back", l: "on", ArrowLeft: "left", ArrowRight: "right",
  ",": "previous", ".": "next", "<": "slower", ">": "faster", ArrowUp: "louder", ArrowDown: "softer",
};
const ONLY_ON_PLAYER = new Set(["ArrowUp", "ArrowDown"]); // elsewhere they scroll
let current = null;

document.addEventListener("keydown", (event) => {
  if (!current?.root.isConnected || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const what = KEYS[key];
  const onPlayer = current.root.contains(event.target);
  if (!what || event.target.closest(CONTROLS) || (ONLY_ON_PLAYER.has(key) && !onPlayer)) return;
  event.preventDefault();
  current.do(what);
}, true);

function start(scope) {
  const root = scope.matches?.("[data-player]") ? scope : scope.querySelector?.("[data-player]");
  if (current && !current.root.isConnected) {
    current.source.close();
    current = null;
  }
  if (root && root !== current?.root) current = new Player(root);
  else if (current?.root.contains(scope)) current.source.offer();
}

start(document);
document.addEventListener("htmx:load", (event) => start(event.detail.elt));
