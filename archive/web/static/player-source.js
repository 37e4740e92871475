// Where the pictures come from: the whole file, a version for slow links, or segments while they are encoded.

const REMEMBERED = "liuhen-quality";
const MEASURED_BYTES = 512 * 1024;
const PATIENCE_MS = 1500; // a link that has not brought that much by then is slow
const LEEWAY = 1.5; // the link must bring this much more than the picture needs
const HOLE_AHEAD_S = 0.3; // playback stops a little before a hole
const LEEWAY_MS = 2000; // the address was made before this began to count
const STALLS = 2;
const STALLS_WITHIN_MS = 30000;
const SLOW_KINDS = new Set(["slow-2g", "2g", "3g"]);
// A segment that is not encoded yet is answered late, or with "not yet".
const PATIENT = {
  default: {
    maxTimeToFirstByteMs: 30000,
    maxLoadTimeMs: 60000,
    timeoutRetry: { maxNumRetry: 60, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: { maxNumRetry: 600, retryDelayMs: 500, maxRetryDelayMs: 2000 },
  },
};

function remembered() {
  try { return localStorage.getItem(REMEMBERED) ?? "auto"; } catch { return "auto"; }
}

function remember(quality) {
  try { localStorage.setItem(REMEMBERED, quality); } catch { /* a browser that keeps nothing */ }
}

// Bits per second that a small part of the file comes with; nothing where the server does not answer.
async function speedOf(address) {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), PATIENCE_MS);
  const began = performance.now();
  let bytes = 0;
  try {
    const answer = await fetch(address, { headers: { Range: `bytes=0-${MEASURED_BYTES - 1}` }, signal: giveUp.signal });
    if (!answer.ok) return undefined;
    const reader = answer.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) bytes += part.value.length;
  } catch (error) {
    if (error.name !== "AbortError") return undefined;
  } finally {
    clearTimeout(timer);
  }
  return bytes * 8000 / Math.max(performance.now() - began, 1);
}

// Where to go on from a moment in which nothing was recorded: where the next segment with a picture begins.
function afterHole(segments, at) {
  const here = segments.findIndex((segment) => segment.start <= at && at < segment.end);
  if (here < 0 || !segments[here].gap) return at;
  return segments.slice(here).find((segment) => !segment.gap)?.start ?? at;
}

// The segments that a playlist lists, as hls.js has them too.
function listed(text) {
  let [start, gap] = [0, false];
  const segments = [];
  for (const line of text.split("\n")) {
    if (line === "#EXT-X-GAP") gap = true;
    if (!line.startsWith("#EXTINF:")) continue;
    const end = start + Number.parseFloat(line.slice("#EXTINF:".length));
    segments.push({ start, end, gap });
    [start, gap] = [end, false];
  }
  return segments;
}

export class Source {
  constructor(root, media, { onTrouble }) {
    this.root = root;
    this.media = media;
    this.onTrouble = onTrouble;
    this.content = root.dataset.content;
    this.isStarted = media.hasAttribute("src");
    this.leaseMs = Number(root.dataset.leaseMs ?? Infinity) - LEEWAY_MS;
    this.attachedAt = performance.now();
    this.offset = 0; // what the recording's time is ahead of the element's, in seconds
    this.playing = "whole";
    this.stalls = [];
    this.reloads = 0;
    root.addEventListener("change", (event) => {
      if (!event.target.matches("[data-quality]")) return;
      remember(event.target.value);
      this.choose(event.target.value);
    });
    media.addEventListener("error", () => { if (!this.hls && media.hasAttribute("src")) this.renew(); });
    media.addEventListener("waiting", () => this.onWaiting());
    media.addEventListener("seeking", () => this.leaveHole());
    for (const name of ["playing", "seeked", "canplay"]) media.addEventListener(name, () => this.showWait(false));
    if ("live" in root.dataset) this.attachLive(); else this.offer();
  }

  get quality() { return this.root.querySelector("[data-quality]"); }

  // Called again when versions have been made meanwhile: then what plays goes on.
  offer() {
    const { quality } = this;
    if (!quality || quality.dataset.offered) return;
    quality.dataset.offered = "yes";
    this.autoText = quality.options[0].textContent;
    const wanted = [...quality.options].some((option) => option.value === remembered()) ? remembered() : "auto";
    quality.value = this.media.hasAttribute("src") ? "whole" : wanted;
    if (!this.media.hasAttribute("src")) this.choose(wanted);
  }

  async choose(quality) {
    this.isAutomatic = quality === "auto";
    const chosen = this.isAutomatic ? (await this.isSlow() ? "versions" : "whole") : quality;
    if (!this.root.isConnected || (this.isStarted && chosen === this.playing)) return this.tellAuto();
    this.playing = chosen;
    if (chosen === "whole") this.attachWhole();
    else await this.attachHls(chosen === "versions" ? "master.m3u8" : `${chosen}.m3u8`, {});
    return this.tellAuto();
  }

  async isSlow() {
    const { connection } = navigator;
    if (connection?.saveData || SLOW_KINDS.has(connection?.effectiveType)) return true;
    const speed = await speedOf(`${this.content}/playable`);
    const needed = Number(this.root.querySelector("[data-bits]")?.dataset.bits ?? 0);
    return speed !== undefined && speed < needed * LEEWAY;
  }

  tellAuto() {
    const { quality } = this;
    if (!quality) return;
    const now = this.playing === "whole" ? quality.options[1] : quality.options[2];
    quality.options[0].textContent = this.isAutomatic && now ? `${this.autoText} · ${now.textContent}` : this.autoText;
  }

  // What is shown stays where it is, and goes on if it was going on.
  goOn(attach, from) {
    const { media } = this;
    const at = from ?? (this.isStarted ? media.currentTime + this.offset : 0);
    const isStill = this.isStarted && media.paused;
    const rate = media.playbackRate;
    this.isStarted = true;
    media.autoplay = !isStill;
    this.offset = 0;
    this.hls?.destroy();
    this.hls = null;
    media.addEventListener("loadedmetadata", () => {
      media.playbackRate = rate;
      if (at) media.currentTime = at;
    }, { once: true });
    attach(at);
  }

  attachWhole() {
    delete this.root.dataset.live;
    this.playing = "whole";
    this.attachedAt = performance.now();
    this.goOn(() => { this.media.src = `${this.content}/playable`; });
  }

  // The browser stays with the address that it was led to, and that one is good for a short while: our own leads anew.
  // Whoever waits after that would be told so by the browser only half a minute later.
  isOver() { return this.playing === "whole" && !this.hls && performance.now() - this.attachedAt > this.leaseMs; }

  async renew() {
    const { currentTime } = this.media;
    const isOnItsWay = currentTime > 0 && currentTime !== this.renewedAt;
    this.renewedAt = currentTime;
    if (!isOnItsWay || !(await this.answer("playable", "HEAD"))) {
      this.onTrouble();
      return;
    }
    this.attachWhole();
    if (this.wasGoing) this.media.autoplay = true; // an error pauses
  }

  async attachHls(name, settings, from) {
    const { default: Hls } = await import(this.root.dataset.hls);
    const address = `${this.content}/${name}`;
    if (!this.root.isConnected) return;
    if (!Hls.isSupported()) {
      this.goOn(() => { this.media.src = address; });
      return;
    }
    this.goOn((at) => {
      this.media.removeAttribute("src");
      this.hls = new Hls({ enableWorker: false, startPosition: at || -1, backBufferLength: 60, ...settings });
      this.hls.on(Hls.Events.INIT_PTS_FOUND, (_, told) => { this.offset = told.initPTS / told.timescale; });
      this.hls.on(Hls.Events.ERROR, (_, error) => this.onHlsError(Hls, error));
      this.hls.on(Hls.Events.FRAG_BUFFERED, () => { this.reloads = 0; });
      this.hls.loadSource(address);
      this.hls.attachMedia(this.media);
    }, from);
  }

  attachLive(from) {
    return this.attachHls("live.m3u8", { fragLoadPolicy: PATIENT, maxBufferLength: 20, maxMaxBufferLength: 20 }, from);
  }

  leaveHole(ahead = 0) {
    const at = this.media.currentTime + ahead;
    const fragments = this.hls?.latestLevelDetails?.fragments ?? [];
    // What hls.js takes for a gap of its own accord may be there in a moment.
    const isHole = ({ tagList }) => tagList.some(([name]) => name === "GAP");
    const past = afterHole(fragments.map((each) => ({ start: each.start, end: each.end, gap: isHole(each) })), at);
    if (past !== at) this.media.currentTime = past;
  }

  // Where a recording has a hole, or its encode has just ended, the list of segments is not what it was.
  async onHlsError(Hls, error) {
    const isGone = error.response?.code === 404;
    if ((!error.fatal && !isGone) || this.isMending) return;
    this.isMending = true;
    const isLive = "live" in this.root.dataset;
    this.reloads += 1;
    if (error.type === Hls.ErrorTypes.MEDIA_ERROR && this.reloads < 3) this.hls.recoverMediaError();
    else if (!(isLive && this.reloads < 6 && await this.attachLiveAnew())) {
      if (await this.answer("playable", "HEAD")) this.attachWhole(); else this.onTrouble();
    }
    this.isMending = false;
  }

  async attachLiveAnew() {
    const answer = await this.answer("live.m3u8", "GET");
    if (!answer) return false;
    await this.attachLive(afterHole(listed(await answer.text()), this.media.currentTime + this.offset));
    return true;
  }

  async answer(name, method) {
    const answer = await fetch(`${this.content}/${name}`, { method }).catch(() => null);
    return answer?.ok ? answer : null;
  }

  onWaiting() {
    this.wasGoing = !this.media.paused;
    if (this.isOver()) {
      this.attachWhole();
      return;
    }
    const left = this.leaseMs - (performance.now() - this.attachedAt);
    if (Number.isFinite(left)) setTimeout(() => { if (this.media.readyState < 3 && this.isOver()) this.attachWhole(); }, left + 1);
    this.showWait(true);
    this.leaveHole(HOLE_AHEAD_S);
    if (!this.isAutomatic || this.playing !== "whole" || this.media.seeking) return;
    const now = performance.now();
    this.stalls = [...this.stalls.filter((at) => now - at < STALLS_WITHIN_MS), now];
    if (this.stalls.length < STALLS) return;
    this.playing = "versions";
    this.attachHls("master.m3u8", {}).then(() => this.tellAuto());
  }

  showWait(isWaiting) {
    const line = this.root.querySelector("[data-wait]");
    if (line) line.hidden = !isWaiting || !("live" in this.root.dataset);
  }

  close() {
    this.hls?.destroy();
    this.hls = null;
  }
}
