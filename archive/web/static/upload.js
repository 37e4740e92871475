// Uploading: each file is hashed here first, then declared to the archive, then sent in pieces that can go on where they
// ended, and at the end the receipt's digests are held against what was hashed here.

const ENDPOINT = "/api/v1/uploads";
const MOST_AT_ONCE = 3;
const RETRY_AFTER_MS = [0, 1000, 2000, 4000, 8000, 8000];
const RECEIPT_PAUSE_MS = 700;

const root = document.getElementById("upload");
const list = document.getElementById("upload-rows");
const said = document.getElementById("upload-said");
const words = { state: new Map(), code: new Map() };
for (const told of document.getElementById("upload-words").content.querySelectorAll("p")) {
  if (told.dataset.word) words.state.set(told.dataset.word, told.textContent);
  else words.code.set(told.dataset.code, told.textContent);
}

/** A cause that the archive, or this page, can name. */
class Fault extends Error {
  constructor(code) {
    super(code);
    this.text = words.code.get(code) ?? words.state.get(code) ?? words.state.get("other").replace("{code}", code);
    this.code = code;
  }
}

function codeOf(body, status) {
  try {
    return JSON.parse(body).code;
  } catch {
    return String(status);
  }
}

// ---- hashing: one file after the other, in a worker ------------------------------------------------------------

const hasher = new Worker(root.dataset.hasher, { type: "module" });
const hashing = new Map();
hasher.addEventListener("message", ({ data }) => {
  const job = hashing.get(data.id);
  if (!job) return;
  if (data.doneBytes !== undefined) {
    job.progress(data.doneBytes);
    return;
  }
  hashing.delete(data.id);
  if (data.digests) job.resolve(data.digests);
  else job.reject(new Fault("unreadable"));
});
hasher.addEventListener("error", () => {
  for (const job of hashing.values()) job.reject(new Fault("unreadable"));
  hashing.clear();
});

function hashed(entry) {
  return new Promise((resolve, reject) => {
    hashing.set(entry.id, { resolve, reject, progress: (bytes) => entry.progress("hash", bytes) });
    hasher.postMessage({ id: entry.id, file: entry.file, withSm3: "sm3" in root.dataset });
  });
}

// ---- turns -----------------------------------------------------------------------------------------------------

function turns(most) {
  let free = most;
  const waiting = [];
  return {
    async take() {
      if (free > 0) free -= 1;
      else await new Promise((resolve) => { waiting.push(resolve); });
    },
    give() {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    },
  };
}
const hashTurns = turns(1);
const sendTurns = turns(MOST_AT_ONCE);

// ---- one file --------------------------------------------------------------------------------------------------

let lastId = 0;

class Entry {
  constructor(file, choices) {
    lastId += 1;
    this.id = lastId;
    this.file = file;
    this.choices = choices;
    this.isCancelled = false;
    this.element = document.getElementById("upload-row").content.firstElementChild.cloneNode(true);
    this.part("name").textContent = file.name;
    this.part("size").textContent = readableSize(file.size);
    this.element.addEventListener("click", (event) => {
      const act = event.target.closest("[data-act]")?.dataset.act;
      if (act) this[act]();
    });
    list.append(this.element);
    this.show("queued");
  }

  part(name) {
    return this.element.querySelector(`[data-${name}]`);
  }

  progress(step, doneBytes) {
    const shown = this.element.querySelector(`[data-step=${step}]`);
    const share = this.file.size ? Math.min(1, doneBytes / this.file.size) : 0;
    shown.querySelector("progress").value = share;
    shown.querySelector("[data-percent]").textContent = `${Math.floor(share * 100)} %`;
  }

  show(state, { fault = null } = {}) {
    this.state = state;
    this.element.dataset.state = state;
    this.part("told").textContent = words.state.get(state);
    this.part("fault").hidden = fault === null;
    if (fault !== null) this.part("fault-text").textContent = fault.text;
    const ended = ["accepted", "failed", "cancelled"].includes(state);
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    this.button("pause").hidden = !["sending", "resuming"].includes(state);
    this.button("resume").hidden = !["paused", "interrupted"].includes(state);
    this.button("cancel").hidden = ended || state === "receipt";
    this.button("remove").hidden = !ended;
    // A button that goes away must not take the keyboard's place with it.
    if (focused && this.button(focused).hidden) this.element.querySelector("[data-act]:not([hidden])")?.focus();
    if (state !== "queued" && state !== "waiting") {
      said.textContent = `${this.file.name}: ${words.state.get(state)}${fault === null ? "" : ` ${fault.text}`}`;
    }
    document.body.dispatchEvent(new CustomEvent("upload-state"));
  }

  button(act) {
    return this.element.querySelector(`[data-act=${act}]`);
  }

  get isActive() {
    return !["accepted", "failed", "cancelled", "paused"].includes(this.state);
  }

  async run() {
    try {
      await this.hash();
      if (this.isCancelled) return;
      this.show("waiting");
      await this.send();
      if (this.isCancelled) return;
      this.show("receipt");
      await this.conclude();
    } catch (error) {
      if (this.isCancelled) return;
      this.show("failed", { fault: error instanceof Fault ? error : new Fault(String(error)) });
    } finally {
      // Without a session that list would lead to the sign-in page, and take the other uploads with it.
      if (!this.isSignedOut) document.body.dispatchEvent(new Event("upload-changed"));
    }
  }

  async hash() {
    if (this.file.size === 0) throw new Fault("ingest.empty_file");
    if (this.file.size > Number(root.dataset.mostBytes)) throw new Fault("ingest.too_large");
    await hashTurns.take();
    try {
      if (this.isCancelled) return;
      this.show("hashing");
      this.digests = await hashed(this);
    } finally {
      hashTurns.give();
    }
    this.progress("hash", this.file.size);
    this.part("sha256").textContent = this.digests.sha256;
    this.part("digest").hidden = false;
  }

  async declared() {
    const answer = await fetch("/api/v1/door/manifests", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({
        name: this.file.name,
        size: this.file.size,
        digests: this.digests,
        modified: new Date(this.file.lastModified).toISOString(),
        ...this.choices,
      }),
    });
    const body = await answer.text();
    // Too many at once: like a connection that is away for a moment.
    if (answer.status === 429) throw new TypeError("too many requests");
    this.isSignedOut = answer.status === 401;
    if (!answer.ok) throw new Fault(codeOf(body, answer.status));
    return JSON.parse(body);
  }

  async send() {
    await this.takeTurn();
    try {
      if (this.isCancelled) return;
      const signed = await this.untilReached(() => this.declared());
      if (this.isCancelled) return;
      await this.sent(signed);
    } finally {
      this.giveTurn();
    }
  }

  async takeTurn() {
    await sendTurns.take();
    this.hasTurn = true;
  }

  giveTurn() {
    if (this.hasTurn) sendTurns.give();
    this.hasTurn = false;
  }

  sent(signed) {
    return new Promise((resolve, reject) => {
      // What identifies the upload is what was hashed, who sends it and what is said of it; not the file's place.
      const mark = JSON.stringify([root.dataset.account, this.digests.sha512, this.file.name, this.choices]);
      this.upload = new window.tus.Upload(this.file, {
        endpoint: ENDPOINT,
        metadata: signed,
        fingerprint: async () => `liuhen-upload ${mark}`,
        removeFingerprintOnSuccess: true,
        retryDelays: RETRY_AFTER_MS,
        onShouldRetry: (error) => {
          if (!this.isPassing(error)) return false;
          this.show("interrupted");
          return true;
        },
        // Told here, since the client would take it for an upload that is gone, and begin again.
        onAfterResponse: (request, response) => {
          this.isSignedOut = response.getStatus() === 401;
          if (this.isSignedOut) throw new Error("signed out");
        },
        onProgress: (doneBytes) => {
          this.progress("send", doneBytes);
          if (this.state === "resuming" || this.state === "interrupted") this.show("sending");
        },
        onSuccess: () => {
          this.progress("send", this.file.size);
          resolve();
        },
        onError: (error) => {
          if (this.isCancelled) resolve();
          else if (this.isPassing(error)) this.interrupted();
          else reject(this.isSignedOut ? new Fault("access.not_signed_in") : faultOf(error));
        },
      });
      this.ended = resolve;
      this.upload.findPreviousUploads().then((previous) => {
        if (this.isCancelled) return;
        if (previous.length) this.upload.resumeFromPreviousUpload(previous[0]);
        this.show(previous.length ? "resuming" : "sending");
        this.upload.start();
      }, reject);
    });
  }

  isPassing(error) {
    const status = statusOf(error);
    return !this.isSignedOut && (status === 0 || status >= 500 || [409, 423, 429].includes(status));
  }

  /** Wait for the connection: the browser says when it is back, and a look now and then does no harm. */
  interrupted() {
    this.show("interrupted");
    setTimeout(() => { if (this.state === "interrupted") this.resume(); }, RETRY_AFTER_MS.at(-1));
  }

  async untilReached(ask) {
    for (let turn = 0; ; turn += 1) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof TypeError) || this.isCancelled) throw error;
        this.show("interrupted");
        await new Promise((resolve) => {
          this.goOn = resolve;
          setTimeout(resolve, RETRY_AFTER_MS[Math.min(turn + 1, RETRY_AFTER_MS.length - 1)]);
        });
        this.goOn = null;
      }
    }
  }

  async conclude() {
    const address = new URL(this.upload.url, location.href).pathname;
    const receipt = await this.untilReached(async () => {
      for (;;) {
        const answer = await fetch(`${address}/receipt`, { headers: { Accept: "application/json" } });
        if (answer.status === 200) return answer.json();
        this.isSignedOut = answer.status === 401;
        if (answer.status !== 202 && answer.status !== 503) {
          throw new Fault(codeOf(await answer.text(), answer.status));
        }
        if (this.state !== "receipt") this.show("receipt");
        await new Promise((resolve) => { setTimeout(resolve, RECEIPT_PAUSE_MS); });
      }
    });
    const entry = JSON.parse(receipt.receipt.entry);
    const isSame = entry.size === this.file.size
      && Object.entries(this.digests).every(([name, value]) => entry.dig[name] === value);
    if (!isSame) throw new Fault("receipt_differs");
    const uploadId = receipt.receipt.upload;
    this.part("item").href = `/items/${entry.obj.id}`;
    this.part("receipt").href = `/items/${entry.obj.id}/receipts/${uploadId}`;
    this.part("done").hidden = false;
    this.show("accepted");
  }

  pause() {
    this.show("paused");
    this.upload.abort();
    this.giveTurn();
  }

  async resume() {
    if (this.goOn) {
      this.goOn();
      return;
    }
    this.show("resuming");
    await this.upload.abort(); // the client may be about to try again by itself
    if (!this.hasTurn) await this.takeTurn();
    if (this.state === "resuming") this.upload.start();
    else this.giveTurn();
  }

  cancel() {
    this.isCancelled = true;
    this.goOn?.();
    hashing.get(this.id)?.reject(new Fault("cancelled"));
    hashing.delete(this.id);
    hasher.postMessage({ cancel: this.id });
    this.show("cancelled");
    // What has begun is ended at the archive too; where that cannot be said now, it expires there.
    const ending = this.upload?.abort(true) ?? Promise.resolve();
    ending.catch(() => {}).then(() => {
      this.ended?.();
      document.body.dispatchEvent(new Event("upload-changed"));
    });
  }

  remove() {
    const next = this.element.nextElementSibling ?? this.element.previousElementSibling;
    this.element.remove();
    entries.delete(this);
    (next?.querySelector("[data-act]:not([hidden])") ?? document.getElementById("upload-files")).focus();
  }
}

function statusOf(error) {
  return error.originalResponse?.getStatus() ?? 0;
}

function faultOf(error) {
  return new Fault(codeOf(error.originalResponse?.getBody(), statusOf(error)));
}

/** As the archive writes sizes: three digits, decimal units. */
function readableSize(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = bytes;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return unit ? `${size.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0)} ${units[unit]}` : `${bytes} B`;
}

// ---- files come by choosing and by dropping --------------------------------------------------------------------

const entries = new Set();

function choices() {
  const given = {
    case: document.getElementById("upload-case").value.trim(),
    source: document.getElementById("upload-source").value,
    note: document.getElementById("upload-note").value.trim(),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value));
}

function take(files) {
  const given = choices();
  for (const file of files) {
    const entry = new Entry(file, given);
    entries.add(entry);
    entry.run();
  }
}

const chooser = document.getElementById("upload-files");
chooser.addEventListener("change", () => {
  take(chooser.files);
  chooser.value = "";
});

const drop = document.getElementById("upload-drop");
for (const name of ["dragenter", "dragover"]) {
  root.addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    drop.classList.add("drop-over");
  });
}
root.addEventListener("dragleave", (event) => {
  if (!root.contains(event.relatedTarget)) drop.classList.remove("drop-over");
});
root.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("drop-over");
  const folders = [...event.dataTransfer.items].filter((item) => item.webkitGetAsEntry?.()?.isDirectory);
  const named = new Set(folders.map((item) => item.webkitGetAsEntry().name));
  take([...event.dataTransfer.files].filter((file) => !named.has(file.name)));
  for (const name of named) {
    const entry = new Entry(new File([], name), {});
    entries.add(entry);
    entry.show("failed", { fault: new Fault("folder") });
  }
});
// A file that misses the place must not replace the page.
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, (event) => event.preventDefault());
}

// ---- the network comes back, the page is left ------------------------------------------------------------------

window.addEventListener("online", () => {
  for (const entry of entries) if (entry.state === "interrupted") entry.resume();
});
window.addEventListener("beforeunload", (event) => {
  if ([...entries].some((entry) => entry.isActive)) event.preventDefault();
});
