// What pages do beyond htmx: copying, panels, announcing trouble. No page needs it to be read.

const said = document.getElementById("said");
const toast = document.getElementById("toast");
let toastTimer = 0;

function say(text) {
  said.textContent = "";
  requestAnimationFrame(() => { said.textContent = text; });
}

function warn(text) {
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { toast.hidden = true; }, 6000);
}

// ---- copying ---------------------------------------------------------------------------------------------------

async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "sr";
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await copyText(document.getElementById(button.dataset.copy).textContent);
    button.classList.add("copied");
    say(document.body.dataset.textCopied);
    setTimeout(() => button.classList.remove("copied"), 1600);
    return;
  }
  const close = event.target.closest("[data-close]");
  if (close) closePanel(close.closest("details"));
});

// ---- the navigation, where it is wider than the screen -----------------------------------------------------------

const nav = document.querySelector(".nav");
const current = nav?.querySelector("[aria-current]");
if (current) nav.scrollLeft = current.offsetLeft - nav.offsetLeft - (nav.clientWidth - current.offsetWidth) / 2;

// ---- panels ----------------------------------------------------------------------------------------------------

function closePanel(panel) {
  panel.open = false;
  panel.querySelector("summary").focus();
}

document.addEventListener("toggle", (event) => {
  const panel = event.target;
  if (panel instanceof HTMLDetailsElement && panel.open && panel.classList.contains("panel")) {
    panel.querySelector("form input:not([type=hidden]), form select")?.focus({ preventScroll: true });
  }
}, true);

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const panel = event.target.closest?.("details.panel[open]");
    if (panel) closePanel(panel);
  }
  if (event.key === "/" && !event.target.closest?.("input, textarea, select")) {
    const search = document.getElementById("search") ?? document.getElementById("find");
    if (search) {
      event.preventDefault();
      search.select();
    }
  }
});

// ---- forms -----------------------------------------------------------------------------------------------------

// A second press must not send a form twice. Forms that open a document or a download leave the page as it is.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  const stays = form.hasAttribute("data-opens") || form.hasAttribute("data-download");
  if (stays) {
    setTimeout(() => {
      delete form.dataset.sent;
      document.body.dispatchEvent(new Event("trail-changed"));
    }, 1000);
  }
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

document.addEventListener("change", (event) => {
  if (event.target.type === "file" && event.target.files.length) {
    event.target.closest(".file").querySelector("[data-file-name]").textContent = event.target.files[0].name;
  }
});

document.querySelector("[data-faulty]")?.focus();

for (const line of document.querySelectorAll("[data-countdown]")) {
  let left = Number(line.dataset.countdown);
  const text = line.textContent;
  const timer = setInterval(() => {
    left -= 1;
    line.textContent = text.replace(/\d+/, String(Math.max(left, 0)));
    if (left <= 0) clearInterval(timer);
  }, 1000);
}

// ---- htmx ------------------------------------------------------------------------------------------------------

document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status !== 401) warn(document.body.dataset.textFailed);
});
document.addEventListener("htmx:sendError", () => warn(document.body.dataset.textOffline));
document.addEventListener("htmx:afterSettle", (event) => {
  event.detail.elt?.querySelector?.("[data-faulty]")?.focus();
});
