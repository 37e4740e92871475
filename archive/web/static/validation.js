// Validating signatures: a file may be dropped; one that is too large is told before it is sent; waiting is shown.

const form = document.getElementById("validation");
const drop = form.querySelector("[data-drop]");
const input = document.getElementById("validation-file");
const button = document.getElementById("validate");
const tooLarge = form.querySelector("[data-too-large]");
const running = form.querySelector("[data-running]");

function total() {
  return [...form.querySelectorAll("input[type=file]")].flatMap((each) => [...each.files]).reduce((sum, file) => sum + file.size, 0);
}

function look() {
  tooLarge.hidden = total() <= Number(form.dataset.mostBytes);
  button.disabled = !tooLarge.hidden;
}

function rest() {
  running.hidden = true;
  look();
}

for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("drop-over");
  });
}
drop.addEventListener("dragleave", (event) => {
  if (!drop.contains(event.relatedTarget)) drop.classList.remove("drop-over");
});
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("drop-over");
  if (!event.dataTransfer.files.length) return;
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
form.addEventListener("change", look);
form.addEventListener("submit", () => {
  button.disabled = true;
  running.hidden = false;
});
// Whoever goes back finds the form as it was, ready for another file.
addEventListener("pageshow", rest);
