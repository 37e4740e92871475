// The inbox: how many are chosen, all at once, and a suggestion that fills in the form. A person still presses the button.

const root = document.querySelector("[data-inbox]");

function boxes() { return [...root.querySelectorAll("input[name=object_id]")]; }

function count() {
  const chosen = boxes().filter((box) => box.checked).length;
  const told = root.querySelector("[data-inbox-count]");
  told.dataset.none ??= told.textContent;
  const text = chosen === 1 ? root.dataset.textOne : root.dataset.textOther.replace("{number}", chosen);
  told.textContent = chosen ? text : told.dataset.none;
  const all = root.querySelector("[data-inbox-all]");
  if (!all) return;
  all.checked = chosen > 0 && chosen === boxes().length;
  all.indeterminate = chosen > 0 && !all.checked;
}

// Suggestions for the same case and act add up; another one starts anew.
function take(button) {
  const number = root.querySelector("#inbox-number");
  const reason = root.querySelector("#inbox-reason");
  const isSame = number.value === button.dataset.number && root.dataset.act === button.dataset.act;
  if (!isSame) {
    for (const box of boxes()) box.checked = false;
    for (const other of root.querySelectorAll("[data-suggest]")) other.setAttribute("aria-pressed", "false");
    number.value = button.dataset.number;
    reason.value = button.dataset.reason;
    root.dataset.act = button.dataset.act;
    globalThis.htmx.trigger(number, "chosen");
  }
  const isTaken = button.getAttribute("aria-pressed") === "true";
  button.setAttribute("aria-pressed", String(!isTaken));
  const box = boxes().find((one) => one.value === button.dataset.object);
  if (box) box.checked = !isTaken;
  count();
}

if (root) {
  root.addEventListener("change", (event) => {
    if (event.target.matches("[data-inbox-all]")) for (const box of boxes()) box.checked = event.target.checked;
    count();
  });
  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-suggest]");
    if (button) take(button);
  });
  root.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.path !== "/unlinked/acts") return;
    // Only the number is asked about, and the act that a suggestion named.
    for (const name of [...event.detail.parameters.keys()]) if (name !== "number") event.detail.parameters.delete(name);
    if (root.dataset.act) event.detail.parameters.set("act_id", root.dataset.act);
  });
  root.querySelector("#inbox-number")?.addEventListener("input", () => { delete root.dataset.act; });
  document.addEventListener("htmx:afterSwap", count);
  count();
}
