// A grant ends: it says so some minutes before, and once it has ended. Times are counted from when the line was shown.

const seen = new WeakMap();

function look() {
  for (const line of document.querySelectorAll("[data-grant]")) {
    if (!seen.has(line)) seen.set(line, performance.now());
    const left = Number(line.dataset.leftS) - (performance.now() - seen.get(line)) / 1000;
    line.querySelector("[data-ending]").hidden = left > Number(line.dataset.warnS) || left <= 0;
    line.querySelector("[data-ended]").hidden = left > 0;
  }
}

look();
setInterval(look, 1000);
