// The strip under the player: waveform, marks, stills where the pointer is, the place where the recording was made.

const LEAST_PEAK = 12; // of 127
const HEADER_BYTES = 24; // audiowaveform's binary data, version 2

function timeText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

// The last of the sorted rows that begins at or before a time.
function lastBefore(rows, ms) {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][0] <= ms) low = middle + 1; else high = middle;
  }
  return rows[low - 1];
}

async function fetchPeaks(address) {
  const answer = await fetch(address);
  if (!answer.ok) return null;
  const bytes = await answer.arrayBuffer();
  const head = new DataView(bytes);
  const [rate, stretch, length] = [head.getInt32(8, true), head.getInt32(12, true), head.getUint32(16, true)];
  const pairs = new Int8Array(bytes, HEADER_BYTES, Math.min(length * 2, bytes.byteLength - HEADER_BYTES));
  // Quiet recordings fill the strip too, but what is nearly silence stays flat.
  const gain = 127 / pairs.reduce((loudest, sample) => Math.max(loudest, Math.abs(sample)), LEAST_PEAK);
  return { secondsEach: stretch / rate, pairs, gain };
}

class Strip {
  constructor(root, media) {
    this.root = root;
    this.media = media;
    this.track = root.querySelector("[data-strip-track]");
    this.head = root.querySelector("[data-strip-head]");
    this.hover = root.querySelector("[data-strip-hover]");
    this.canvas = root.querySelector("[data-strip-wave]");
    this.stills = JSON.parse(root.dataset.stills);
    this.points = JSON.parse(root.dataset.points);
    this.place = root.querySelector("[data-strip-place]");
    this.marks = [...root.querySelectorAll(".strip-mark")];
    this.peaks = null;
    for (const name of ["timeupdate", "seeked", "loadedmetadata", "durationchange"]) media.addEventListener(name, () => this.draw());
    new ResizeObserver(() => { this.drawWave(); this.draw(); }).observe(this.track);
    this.listen();
    if (root.dataset.peaks) {
      fetchPeaks(root.dataset.peaks).then((peaks) => { this.peaks = peaks; this.drawWave(); }, () => {});
    }
    if (this.stills.length) {
      const still = root.querySelector("[data-strip-still]");
      still.style.width = `${root.dataset.stillWidth}px`;
      still.style.height = `${root.dataset.stillHeight}px`;
    }
    this.draw();
  }

  get duration() { return Number.isFinite(this.media.duration) ? this.media.duration : 0; }

  draw() {
    const { duration } = this;
    if (!duration) return;
    const at = (ms) => Math.min(100, ms / 10 / duration);
    this.head.style.left = `${at(this.media.currentTime * 1000)}%`;
    if (this.drawn !== duration) {
      this.drawn = duration;
      for (const mark of this.marks) {
        const [from, to] = [Number(mark.dataset.from), Number(mark.dataset.to)];
        mark.style.left = `${at(from)}%`;
        mark.style.width = `${at(to) - at(from)}%`;
      }
      this.drawWave();
    }
    if (this.place) {
      const point = lastBefore(this.points, this.media.currentTime * 1000) ?? this.points[0];
      this.place.textContent = `${(point[1] / 1e7).toFixed(5)}, ${(point[2] / 1e7).toFixed(5)}`;
    }
  }

  drawWave() {
    const { peaks, duration, canvas } = this;
    if (!peaks || !duration) return;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(this.track.clientWidth * scale), Math.round(this.track.clientHeight * scale)];
    [canvas.width, canvas.height] = [width, height];
    const pen = canvas.getContext("2d");
    pen.fillStyle = getComputedStyle(canvas).color;
    const each = duration / width / peaks.secondsEach;
    const count = peaks.pairs.length / 2;
    for (let x = 0; x < width; x += 1) {
      const first = Math.floor(x * each), last = Math.min(Math.max(Math.ceil((x + 1) * each), first + 1), count);
      if (first >= count) break;
      let [lowest, highest] = [0, 0];
      for (let pair = first; pair < last; pair += 1) {
        lowest = Math.min(lowest, peaks.pairs[2 * pair]);
        highest = Math.max(highest, peaks.pairs[2 * pair + 1]);
      }
      const [top, bottom] = [highest, lowest].map((sample) => (128 - sample * peaks.gain) / 256 * height);
      pen.fillRect(x, top, 1, Math.max(bottom - top, scale));
    }
  }

  secondsAt(event) {
    const box = this.track.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * this.duration;
  }

  showHover(event) {
    const { duration, hover } = this;
    if (!duration) return;
    const seconds = this.secondsAt(event);
    const still = lastBefore(this.stills, seconds * 1000) ?? this.stills[0];
    this.root.querySelector("[data-strip-at]").textContent = timeText(seconds);
    hover.hidden = false;
    if (still) {
      const picture = this.root.querySelector("[data-strip-still]");
      picture.style.backgroundImage = `url("${this.root.dataset.sprite}")`;
      picture.style.backgroundPosition = `-${still[2]}px -${still[3]}px`;
    }
    const room = this.track.clientWidth - hover.offsetWidth;
    hover.style.left = `${Math.min(Math.max(seconds / duration * this.track.clientWidth - hover.offsetWidth / 2, 0), Math.max(room, 0))}px`;
  }

  listen() {
    let isHeld = false;
    this.track.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      isHeld = true;
      this.track.setPointerCapture(event.pointerId);
      this.media.currentTime = this.secondsAt(event);
    });
    this.track.addEventListener("pointermove", (event) => {
      this.showHover(event);
      if (isHeld) this.media.currentTime = this.secondsAt(event);
    });
    for (const name of ["pointerup", "pointercancel"]) this.track.addEventListener(name, () => { isHeld = false; });
    this.track.addEventListener("pointerleave", () => { this.hover.hidden = true; });
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-seek-ms]");
      if (button) this.media.currentTime = Number(button.dataset.seekMs) / 1000;
    });
  }
}

function start(scope) {
  for (const root of scope.querySelectorAll?.("[data-strip]") ?? []) {
    const media = root.closest("[data-player]")?.querySelector("video, audio");
    if (media && !root.dataset.started) {
      root.dataset.started = "yes";
      new Strip(root, media);
    }
  }
}

start(document);
document.addEventListener("htmx:load", (event) => start(event.detail.elt.parentElement ?? document));
