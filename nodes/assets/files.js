// The folder's page: ties the actions, uploads and preview to what the server has made.
import { Refusal, localTimes, spoken, toast } from "./common.js";
import { showCopyButtons } from "./copy.js";
import { makeFolder, move, question, remove, rename } from "./actions.js";
import { add, busy, onUploaded } from "./upload.js";
import { preview } from "./preview.js";
import { forget, knows, remember } from "./memory.js";

const listing = document.getElementById("listing");
const here = listing.dataset.here;
const writable = listing.dataset.writable === "true";

function dress() {
  localTimes(listing);
  showCopyButtons(listing);
}

// Of several answers under way only the last one asked for is shown: an older one may come in later.
let newest = 0;

// The server makes every row, so that there is one place that does.
async function refresh() {
  const mine = ++newest;
  const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
  if (!answer.ok) {
    toast("The folder cannot be read again; what you see may be old", { bad: true });
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (mine !== newest) return;
  const rows = (root) => [...root.querySelectorAll("tr[data-name]")];
  const focused = document.activeElement?.closest("tr[data-name]");
  const place = rows(listing).indexOf(focused);
  const opened = listing.querySelector("details.menu[open]")?.closest("tr[data-name]").dataset.name;
  listing.replaceChildren(...page.getElementById("listing").childNodes);
  dress();
  // An upload that ends meanwhile must not shut the menu that somebody has just opened.
  const again = rows(listing).find((row) => row.dataset.name === opened);
  again?.querySelector("details.menu")?.setAttribute("open", "");
  if (focused) {
    // The same row, or the one that has moved into its place.
    const fresh = rows(listing);
    const row = fresh.find((row) => row.dataset.name === focused.dataset.name) ?? fresh[Math.min(place, fresh.length - 1)];
    (row ?? document).querySelector("summary, #mkdir-form input[type=text]")?.focus({ preventScroll: true });
  }
}

listing.addEventListener("click", (event) => {
  // What is chosen shuts its menu, a download too, which the browser carries out itself.
  if (event.target.closest("details.menu .items a")) closeMenus();
  const link = event.target.closest("a[data-act]");
  // With a key held down people want what the link itself does.
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const name = link.closest("tr").dataset.name;
  link.closest("details")?.querySelector("summary").focus();
  if (link.dataset.act === "rename") rename(here, name, refresh);
  else if (link.dataset.act === "move") move(here, name, refresh);
  else if (link.dataset.act === "delete") remove(here, name, refresh);
  else preview(link.getAttribute("href"), name);
});

// One menu at a time, closed by Escape, by a click elsewhere and by leaving it with the keyboard.
function closeMenus(except) {
  for (const menu of listing.querySelectorAll("details.menu[open]")) if (menu !== except) menu.removeAttribute("open");
}
document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("focusin", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.("details.menu[open]");
  if (!menu) return;
  const items = [...menu.querySelectorAll("summary, .items a, .items button:not([hidden])")];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") {
    menu.removeAttribute("open");
    menu.querySelector("summary").focus();
  } else if (step) {
    event.preventDefault();
    const place = items.indexOf(document.activeElement);
    items[(place + step + items.length) % items.length].focus();
  }
});

function upload(files) {
  const chosen = [...files];
  if (chosen.length > 0) add(here, chosen);
}

function takeFiles() {
  const form = document.getElementById("upload-form");
  const input = document.getElementById("upload-files");
  document.documentElement.classList.add("scripted");
  // A plain form takes one file.
  input.multiple = true;
  form.querySelector(".drop-hint").hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("change", () => {
    upload(input.files);
    form.reset();
  });
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  document.addEventListener("dragenter", (event) => hasFiles(event) && mark(1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && mark(-1));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(-depth);
    upload(event.dataTransfer.files);
  });
  onUploaded(refresh);
  window.addEventListener("beforeunload", (event) => busy() && event.preventDefault());
}

function takeFolders() {
  const form = document.getElementById("mkdir-form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const input = form.elements.namedItem("name");
    try {
      await makeFolder(here, input.value.trim(), refresh);
      form.reset();
    } catch (error) {
      toast(spoken(error.message), { bad: true });
    }
  });
}

function takeMemory() {
  const button = document.getElementById("remember");
  const { cap, name } = listing.dataset;
  const show = () => {
    const known = knows(cap);
    button.hidden = false;
    button.setAttribute("aria-pressed", String(known));
    button.textContent = known ? "Remembered" : "Remember";
  };
  button.addEventListener("click", () => {
    if (knows(cap)) {
      forget(cap);
      show();
      return;
    }
    const text = "This browser will keep its cap and show it under Files. Do not do this on a computer that you share.";
    question({ title: "Remember this folder", text, label: "Name for it", value: name, ok: "Remember" }, async (chosen) => {
      if (!remember(chosen || name, cap)) throw new Refusal(0, "this browser keeps nothing for this page");
      show();
    });
  });
  show();
}

if (writable) {
  takeFiles();
  takeFolders();
}
takeMemory();
dress();
showCopyButtons(document);
