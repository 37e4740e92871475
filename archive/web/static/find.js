// Searching: a number that identifies somebody must stand in no address, so it is sent in a form's body.

const RESIDENT_ID = /^(?:[0-9]{15}|[0-9]{17}[0-9X])$/;
const CREDIT_CODE = /^[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}$/;
const BEGINNING = /^[0-9]{10,18}X?$/;

const plain = (text) => text.normalize("NFKC").toUpperCase().replace(/[\s-]/g, "");

function isNumber(text) {
  const given = plain(text);
  return RESIDENT_ID.test(given) || CREDIT_CODE.test(given);
}

// In the capturing phase, before htmx or the browser sends it.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.hasAttribute("data-find") || !isNumber(form.elements.q.value)) return;
  event.preventDefault();
  event.stopPropagation();
  const post = document.createElement("form");
  post.method = "post";
  post.action = "/subjects/search";
  const field = document.createElement("input");
  field.name = "number";
  field.value = form.elements.q.value;
  post.append(field);
  post.hidden = true;
  document.body.append(post);
  post.submit();
}, true);

// What is typed is looked for at once, but not while it may become such a number.
document.addEventListener("htmx:configRequest", (event) => {
  const { elt: form, parameters } = event.detail;
  if (!form.hasAttribute?.("data-find")) return;
  if (BEGINNING.test(plain(form.elements.q.value))) event.preventDefault();
  for (const [name, value] of Object.entries(parameters)) if (!value) delete parameters[name];
});
