// What a person sees and does: choose a folder, say whom to trust, read what was found.

const TEXTS = {
  en: {
    brand: "Liuhen", other: "中文", title: "Verify a case package",
    lead: "Whether the package is whole and unaltered, and who signed it. Nothing leaves this computer.",
    drop: "Drop the package folder here", choose: "Choose folder",
    local: "Everything is read and judged in this page. It works with the network off.",
    trust: "Whom to trust",
    trustHelp: "The archive's trust file, or the SHA-256 of its trust file, from the agency's public page or another source than this package. Without it nobody knows who signed.",
    trustChoose: "Choose trust file", start: "Verify", chosen: "{name}: {count} files, {size}",
    unaltered: "Unaltered", complete: "Complete", upTo: "Among the first {size} entries of the log, {time}. ",
    isUnaltered: "All {count} listed files are as the archive with the log {origin} signed them, {time}.",
    isAltered: "Checks that do not hold: {count}, listed below.",
    isOpen: "Nothing contradicts. Checks that were left open: {count}, listed below.",
    completeHow: "Entries that were kept back show only against a copy of the log: liuhen verify PACKAGE --log FOLDER",
    valid: "Valid", invalid: "Invalid", indeterminate: "Not established", missing: "Not checked",
    unsigned: "Consistent at most: everything in a package can be forged together, and no trust file from outside was given.",
    attention: "What does not hold or was not checked", held: "What was checked and holds ({count})", json: "Report as JSON", save: "Save report",
    reading: "{done} of {total} read", judging: "Judging signatures and proofs",
    badTrust: "This is neither a trust file nor its SHA-256 ({why}).", otherTrust: "The trust file in the package has another SHA-256 than the one typed in.",
    failed: "The check could not be made: {why}", foot: "Verifier of case packages, version 1",
    licences: "Apache-2.0; hash-wasm: MIT, Dani Biró",
  },
  zh: {
    brand: "留痕", other: "English", title: "验证案件包",
    lead: "查明案件包是否完整、未被改动，以及由谁签名。任何内容都不会离开这台电脑。",
    drop: "将案件包文件夹拖到这里", choose: "选择文件夹",
    local: "全部读取和判断都在本页内完成，断网也能使用。",
    trust: "信任谁",
    trustHelp: "档案系统的信任文件，或信任文件的 SHA-256，须取自机关公开网页等案件包以外的来源。没有它，就无法知道是谁签的名。",
    trustChoose: "选择信任文件", start: "开始验证", chosen: "{name}：{count} 个文件，{size}",
    unaltered: "未被改动", complete: "完整", upTo: "范围：日志前 {size} 条，{time}。",
    isUnaltered: "清单所列 {count} 个文件均与日志 {origin} 所属档案系统签名时一致，签名时间 {time}。",
    isAltered: "有 {count} 项检查不成立，见下。",
    isOpen: "没有发现矛盾，但有 {count} 项检查未能完成，见下。",
    completeHow: "是否有条目被隐去，只有对照日志副本才能查明：liuhen verify 案件包 --log 文件夹",
    valid: "有效", invalid: "无效", indeterminate: "未能确认", missing: "未检查",
    unsigned: "最多只能说内容一致：包内的一切都可以一并伪造，而这里没有给出包外的信任文件。",
    attention: "不成立或未检查的项目", held: "已检查并成立的项目（{count}）", json: "JSON 报告", save: "保存报告",
    reading: "已读取 {done}，共 {total}", judging: "正在判断签名和证明",
    badTrust: "这既不是信任文件，也不是它的 SHA-256（{why}）。", otherTrust: "包内信任文件的 SHA-256 与输入的不同。",
    failed: "无法完成检查：{why}", foot: "案件包验证器，版本 1",
    licences: "Apache-2.0；hash-wasm：MIT，Dani Biró",
  },
};
const SENTENCES = JSON.parse(document.getElementById("sentences").textContent);
const HASHER = document.getElementById("hasher").textContent;
const byId = (id) => document.getElementById(id);

let language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
let chosen = null;
let check = null;

const text = (key, values = {}) => TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
const say = (code, detail) => SENTENCES[code][language] + (detail ? ` (${detail})` : "");

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** step).toLocaleString(language, { maximumFractionDigits: step ? 1 : 0 })} ${units[step]}`;
}

// What is not a time in its one form is shown as it is.
const moment = (time) => time.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:[.]\d+)?Z$/, "$1 $2 UTC");

// ---- the files --------------------------------------------------------------------------------------------------------

async function filesBelow(folder, prefix, found) {
  const reader = folder.createReader();
  for (;;) {
    const entries = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (entries.length === 0) return;
    for (const entry of entries) {
      const path = prefix + entry.name;
      if (entry.isDirectory) await filesBelow(entry, `${path}/`, found);
      else found.set(path, await new Promise((done, failed) => entry.file(done, failed)));
    }
  }
}

function take(name, files) {
  chosen = { name, files };
  check = null;
  byId("result").hidden = true;
  byId("start").disabled = false;
  show();
}

byId("choose").addEventListener("click", () => byId("folder").click());
byId("folder").addEventListener("change", ({ target }) => {
  if (target.files.length === 0) return;
  // The first segment is the folder itself.
  const files = new Map(Array.from(target.files, (file) => [file.webkitRelativePath.split("/").slice(1).join("/"), file]));
  take(target.files[0].webkitRelativePath.split("/")[0], files);
});

for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("drop-over", kind === "dragover");
  });
}
addEventListener("drop", async ({ dataTransfer }) => {
  const entry = dataTransfer.items[0]?.webkitGetAsEntry?.();
  if (!entry?.isDirectory) return;
  const files = new Map();
  try {
    await filesBelow(entry, "", files);
    take(entry.name, files);
  } catch (error) {
    byId("problem").textContent = text("failed", { why: String(error) });
  }
});

byId("trust-choose").addEventListener("click", () => byId("trust-file").click());
byId("trust-file").addEventListener("change", async ({ target }) => {
  if (target.files.length === 0) return;
  byId("trust").value = target.files[0].size > MIB ? "" : await target.files[0].text();
  byId("trust-name").textContent = target.files[0].name;
});

// ---- hashing, in workers ------------------------------------------------------------------------------------------------

function startWorker(url, message, transfer, take) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(url);
    worker.addEventListener("error", (event) => reject(new Error(event.message || "a worker does not start")));
    worker.addEventListener("message", ({ data }) => {
      if (!data.ended) {
        take(data);
        return;
      }
      worker.terminate();
      resolve();
    });
    worker.postMessage(message, transfer);
  });
}

async function hashFiles(paths, files, progress) {
  const total = paths.reduce((sum, path) => sum + files.get(path).size, 0);
  const found = new Map(paths.map((path) => [path, {}]));
  const url = URL.createObjectURL(new Blob([HASHER], { type: "text/javascript" }));
  // Two workers for each share; two shares where there are cores for them. The largest files are dealt out first.
  const shares = Array.from({ length: navigator.hardwareConcurrency >= 4 ? 2 : 1 }, () => ({ bytes: 0, files: [] }));
  for (const path of [...paths].sort((one, two) => files.get(two).size - files.get(one).size)) {
    const least = shares.reduce((best, share) => (share.bytes < best.bytes ? share : best));
    least.files.push([path, files.get(path)]);
    least.bytes += files.get(path).size;
  }
  let done = 0;
  const failed = new Set();
  const take = ({ path, doneBytes, failed: hasFailed, ...digests }) => {
    if (hasFailed) failed.add(path);
    if (path !== undefined) Object.assign(found.get(path), digests);
    if (doneBytes) progress((done += doneBytes), total);
  };
  const work = shares.flatMap((share) => {
    const { port1, port2 } = new MessageChannel();
    return [
      startWorker(url, { port: port2 }, [port2], take),
      startWorker(url, { files: share.files, port: port1 }, [port1], take),
    ];
  });
  await Promise.all(work);
  URL.revokeObjectURL(url);
  for (const path of failed) found.delete(path);
  return found;
}

// ---- the check ----------------------------------------------------------------------------------------------------------

class Problem extends Error {}

async function readTrust() {
  const typed = byId("trust").value;
  if (typed.trim() === "") return null;
  const fingerprint = typed.toLowerCase().replace(/^\s*sha256:/, "").replace(/[\s:]/g, "");
  let bytes = bytesOf(typed.endsWith("\n") ? typed : `${typed}\n`);
  if (/^[0-9a-f]{64}$/.test(fingerprint)) {
    const own = chosen.files.get("proofs/trust.txt");
    bytes = own && own.size <= MIB ? new Uint8Array(await own.arrayBuffer()) : new Uint8Array();
    if (hexOf(await digest("sha256", bytes)) !== fingerprint) throw new Problem(text("otherTrust"));
  }
  try {
    return await Trust.parse(bytes);
  } catch (error) {
    if (error instanceof Malformed) throw new Problem(text("badTrust", { why: error.message }));
    throw error;
  }
}

byId("start").addEventListener("click", async () => {
  byId("problem").textContent = "";
  byId("result").hidden = true;
  byId("start").disabled = true;
  document.body.dataset.state = "working";
  try {
    const trust = await readTrust();
    byId("work").hidden = false;
    const current = new Check(new Map(chosen.files), trust, Date.now(), hashFiles);
    await current.run((done, total) => {
      byId("progress").value = total ? done / total : 1;
      byId("working").textContent = done < total ? text("reading", { done: size(done), total: size(total) }) : text("judging");
    });
    check = current;
    document.body.dataset.state = "done";
  } catch (error) {
    byId("problem").textContent = error instanceof Problem ? error.message : text("failed", { why: String(error) });
    document.body.dataset.state = "failed";
  }
  byId("work").hidden = true;
  byId("start").disabled = false;
  show();
  if (check !== null) byId("result").focus();
});

byId("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([byId("report").textContent], { type: "application/json" }));
  link.download = `${chosen.name}.verify.json`;
  link.click();
});

// ---- what is shown ------------------------------------------------------------------------------------------------------

byId("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  show();
});

const wordFor = (code, outcome) => text(outcome === OPEN && code.endsWith("not_checked") ? "missing" : outcome);

function row({ code, outcome, message, where }) {
  const line = document.createElement("li");
  const word = document.createElement("span");
  word.className = `word ${outcome}`;
  word.textContent = wordFor(code, outcome);
  const told = document.createElement("span");
  told.textContent = `${message} `;
  const place = document.createElement("span");
  place.className = "where";
  place.textContent = where;
  const name = document.createElement("span");
  if (where) name.className = "code";
  name.textContent = code;
  place.append(name);
  told.append(place);
  line.append(word, told);
  return line;
}

function showVerdict(id, outcome, word, more) {
  const card = byId(id);
  card.className = `verdict ${outcome}`;
  card.querySelector(".verdict-is").textContent = word;
  card.querySelector(".small").textContent = more;
}

function whatIsUnaltered(outcome) {
  const count = check.findings.filter((each) => each.outcome === outcome).length;
  if (outcome === INVALID) return text("isAltered", { count });
  if (outcome === OPEN) return text("isOpen", { count });
  const { detail } = check.findings.find((each) => each.code === "signature.valid");
  const files = check.findings.filter((each) => each.code === "package.file_valid").length;
  return text("isUnaltered", { count: files, origin: check.head.origin, time: moment(detail) });
}

function show() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  document.title = `${text("brand")}: ${text("title")}`;
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = text(place.dataset.text);
  byId("language").textContent = text("other");
  if (chosen !== null) {
    const total = [...chosen.files.values()].reduce((sum, file) => sum + file.size, 0);
    byId("chosen").textContent = text("chosen", { name: chosen.name, count: chosen.files.size, size: size(total) });
  }
  if (check === null) return;
  const report = check.report(chosen.name, say);
  const { up_to: upTo } = report;
  const isKnown = upTo.size !== null && upTo.time !== null;
  showVerdict("unaltered", report.unaltered, text(report.unaltered), whatIsUnaltered(report.unaltered));
  const until = isKnown ? text("upTo", { size: upTo.size, time: moment(upTo.time) }) : "";
  const { code } = check.complete[0];
  showVerdict("complete", report.complete, wordFor(code, report.complete), until + text("completeHow"));
  byId("unsigned").hidden = check.trust !== null;
  const held = report.findings.filter((each) => each.outcome === VALID);
  const order = [INVALID, OPEN];
  const attention = report.findings.filter((each) => each.outcome !== VALID);
  attention.sort((one, two) => order.indexOf(one.outcome) - order.indexOf(two.outcome));
  byId("attention-title").hidden = attention.length === 0;
  byId("attention").replaceChildren(...attention.map(row));
  byId("held").replaceChildren(...held.map(row));
  byId("held-title").textContent = text("held", { count: held.length });
  byId("report").textContent = JSON.stringify(report, null, 1);
  byId("result").hidden = false;
}

show();
