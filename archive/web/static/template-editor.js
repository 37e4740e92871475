// The text of a template: line numbers beside it, marks where something is wrong, and the way there.

const LINE_PX = 20;

function numbersOf(area) {
  return area.closest("[data-lined]").querySelector(".line-numbers");
}

function number(area, faulty) {
  const count = area.value.split("\n").length;
  const lines = [];
  for (let line = 1; line <= count; line += 1) lines.push(faulty.has(line) ? `● ${line}` : `${line}`);
  const numbers = numbersOf(area);
  numbers.textContent = lines.join("\n");
  numbers.scrollTop = area.scrollTop;
}

function faultyLines() {
  return new Set([...document.querySelectorAll("#preview [data-line]")].map((button) => Number(button.dataset.line)));
}

function goTo(area, line) {
  const lines = area.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  area.scrollTop = Math.max(0, (line - 4) * LINE_PX);
  area.scrollLeft = 0;
}

for (const area of document.querySelectorAll("[data-lined] textarea")) {
  const renumber = () => number(area, faultyLines());
  area.addEventListener("input", renumber);
  area.addEventListener("scroll", () => { numbersOf(area).scrollTop = area.scrollTop; });
  document.addEventListener("htmx:afterSwap", renumber);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-line]");
    if (button) goTo(area, Number(button.dataset.line));
  });
  renumber();
}
