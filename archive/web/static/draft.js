// The form of a text record: lines that come and go, sentences of the guide, and pages that show what was saved.

const form = document.getElementById("draft-form");
const pages = document.getElementById("paper-pages");

function changed() {
  form.dispatchEvent(new Event("change", { bubbles: true }));
}

// ---- lines -----------------------------------------------------------------------------------------------------

function addLine(lines) {
  const number = Number(lines.dataset.next);
  lines.dataset.next = String(number + 1);
  const copy = lines.querySelector("template").content.cloneNode(true);
  for (const part of copy.querySelectorAll("[name]")) part.name = part.name.replace(".NUMBER.", `.${number}.`);
  for (const part of copy.querySelectorAll("[id]")) part.id = part.id.replace("-NUMBER-", `-${number}-`);
  const line = copy.querySelector("[data-line]");
  lines.querySelector("template").before(copy);
  return line;
}

for (const button of document.querySelectorAll("[data-line-more], [data-insert]")) button.hidden = false;

document.addEventListener("click", (event) => {
  const more = event.target.closest("[data-line-more]");
  if (more) {
    addLine(form.querySelector(`[data-lines="${more.dataset.lineMore}"]`)).querySelector("input, textarea, select").focus();
    return;
  }
  const away = event.target.closest("[data-line-away]");
  if (away) {
    const line = away.closest("[data-line]");
    const next = line.nextElementSibling?.querySelector?.("input, textarea, select") ?? line.parentElement.parentElement.querySelector("[data-line-more]");
    line.remove();
    next?.focus();
    changed();
    return;
  }
  const insert = event.target.closest("[data-insert]");
  if (insert) {
    takeSentence(insert);
    return;
  }
  const take = event.target.closest("[data-take-over]");
  if (take) {
    document.querySelector("input[name=revision]").value = take.dataset.takeOver;
    changed();
  }
});

// ---- the language guide ------------------------------------------------------------------------------------------

function takeSentence(button) {
  const text = button.parentElement.querySelector("q").textContent;
  const place = document.getElementById(`f-${button.dataset.insert}`);
  const part = button.dataset.part;
  let target = part ? null : place.querySelector("textarea, input:not([type=hidden])");
  if (part) {
    const free = [...place.querySelectorAll(`[data-lines] > [data-line] [data-part="${part}"]`)].find((each) => !each.value);
    target = free ?? addLine(place.querySelector("[data-lines]")).querySelector(`[data-part="${part}"]`);
  }
  target.value = target.value && !part ? `${target.value}\n${text}` : text;
  target.focus();
  changed();
}

// ---- areas as high as their text ---------------------------------------------------------------------------------

function fit(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}
for (const area of form.querySelectorAll("textarea")) fit(area);
form.addEventListener("input", (event) => {
  if (event.target instanceof HTMLTextAreaElement) fit(event.target);
});

// ---- the paper ---------------------------------------------------------------------------------------------------

async function showPages(revision, count) {
  document.getElementById("no-preview").hidden = count > 0;
  for (let number = 1; number <= count; number += 1) {
    const next = new Image(910, 1286);
    next.className = "paper-page";
    next.alt = pages.dataset.alt.replace("NUMBER", String(number));
    next.src = `${pages.dataset.from}/${number}?revision=${revision}`;
    const old = pages.children[number - 1];
    if (old) {
      try {
        await next.decode(); // what is seen stays until its successor can be seen
      } catch {
        continue;
      }
      old.replaceWith(next);
    } else {
      pages.append(next);
    }
  }
  while (pages.children.length > count) pages.lastElementChild.remove();
}

document.addEventListener("htmx:afterSettle", (event) => {
  const state = document.getElementById("draft-state");
  if (event.detail.elt?.id === "draft-state" || event.target === state) {
    showPages(state.dataset.revision, Number(state.dataset.pages));
  }
});
