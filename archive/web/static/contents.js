// The pages of a document: which one is seen, one on, one back, larger. Without this they can be scrolled all the same.

const CONTROLS = "input, textarea, select, summary, a, [contenteditable]";

class Reader {
  constructor(root) {
    this.root = root;
    this.box = root.querySelector("[data-pages]");
    this.pages = [...root.querySelectorAll("[data-page]")];
    this.place = root.querySelector("[data-place]");
    this.at = 0;
    this.jumped = false;
    root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-do]");
      if (button) this.do(button.dataset.do);
    });
    this.box.addEventListener("scroll", () => this.follow(), { passive: true });
    this.box.focus({ preventScroll: true });
  }

  // The page that holds the line a third below the top is the one that is read.
  follow() {
    if (this.jumped) { // the move that a step made: the step has said already which page it is
      this.jumped = false;
      return;
    }
    if (this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 2) {
      this.show(this.pages.length - 1);
      return;
    }
    const line = this.box.scrollTop + this.box.clientHeight / 3;
    const found = this.pages.findIndex((page) => page.offsetTop + page.offsetHeight > line);
    this.show(found < 0 ? this.pages.length - 1 : found);
  }

  show(at) {
    if (at === this.at) return;
    this.at = at;
    this.place.textContent = `${this.pages[at].dataset.page} / ${this.place.dataset.count}`;
  }

  go(step) {
    const at = Math.min(Math.max(0, this.at + step), this.pages.length - 1);
    this.show(at);
    this.goTo(at);
  }

  goTo(at) {
    const before = this.box.scrollTop;
    this.box.scrollTop = this.pages[at].offsetTop - 8;
    this.jumped = this.box.scrollTop !== before;
  }

  do(what) {
    switch (what) {
      case "next": this.go(1); break;
      case "previous": this.go(-1); break;
      case "larger": {
        const isLarger = this.root.classList.toggle("is-larger");
        this.root.querySelector("[data-do=larger]").setAttribute("aria-pressed", String(isLarger));
        this.goTo(this.at);
        break;
      }
    }
  }
}

const KEYS = { ArrowLeft: "previous", ArrowRight: "next", "+": "larger", "=": "larger", "-": "larger" };
let current = null;

document.addEventListener("keydown", (event) => {
  if (!current?.root.isConnected || event.ctrlKey || event.metaKey || event.altKey) return;
  const what = KEYS[event.key];
  if (!what || event.target.closest(CONTROLS)) return;
  event.preventDefault();
  current.do(what);
});

function start(scope) {
  const root = scope.matches?.("[data-reader]") ? scope : scope.querySelector?.("[data-reader]");
  if (root && root !== current?.root) current = new Reader(root);
}

start(document);
document.addEventListener("htmx:load", (event) => start(event.detail.elt));
