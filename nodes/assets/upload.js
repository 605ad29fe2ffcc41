// Uploads into the folder: several at once, each with its progress and a way to stop it.
import { bytes, sentence, spoken } from "./common.js";

// The gateway codes and the peers write in parallel, and a browser has six connections to one place.
const AT_ONCE = 3;

const box = document.getElementById("transfers");
const waiting = [];
let active = 0;
let whenDone = () => {};

export function onUploaded(handler) {
  whenDone = handler;
}

function button(label, name, handler) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "small";
  made.textContent = label;
  made.setAttribute("aria-label", label + " " + name);
  made.addEventListener("click", handler);
  return made;
}

class Transfer {
  constructor(here, file, name) {
    Object.assign(this, { here, file, name, ended: false });
    this.line = document.createElement("div");
    this.line.className = "transfer";
    this.what = document.createElement("span");
    this.what.className = "what";
    this.what.textContent = name;
    this.bar = document.createElement("progress");
    this.bar.setAttribute("aria-label", "Progress of " + name);
    this.bar.max = 1;
    this.bar.value = 0;
    this.cancel = button("Cancel", name, () => this.stop());
    this.line.append(this.what, this.bar, this.cancel);
    box.append(this.line);
  }

  start(replace) {
    const request = new XMLHttpRequest();
    this.request = request;
    request.open("PUT", this.here + encodeURIComponent(this.name) + "?replace=" + (replace ? "only-files" : "false"));
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => {
      if (!event.lengthComputable || event.total === 0) return;
      this.bar.value = event.loaded / event.total;
      this.what.textContent = this.name + " – " + bytes(event.loaded) + " of " + bytes(event.total);
      // All is sent; now the peers make it durable.
      if (event.loaded === event.total) this.bar.removeAttribute("value");
    };
    request.onload = () => {
      if (request.status === 200 || request.status === 201) this.end();
      else if (request.status === 409 && !replace) this.taken();
      else this.fail(sentence(request.status, request.responseText));
    };
    request.onerror = () => this.fail("the connection to the gateway broke");
    request.send(this.file);
  }

  free() {
    if (this.request === undefined || this.ended) return;
    this.ended = true;
    active -= 1;
    next();
  }

  stop() {
    const place = waiting.indexOf(this);
    if (place >= 0) waiting.splice(place, 1);
    this.request?.abort();
    this.line.remove();
    this.free();
    if (active === 0) whenDone();
  }

  end() {
    this.line.remove();
    this.free();
    whenDone();
  }

  fail(why) {
    const told = document.createElement("span");
    told.className = "why";
    told.textContent = spoken(why);
    this.what.replaceChildren(this.name, told);
    this.bar.remove();
    this.cancel.replaceWith(button("Dismiss", this.name, () => this.line.remove()));
    this.free();
    whenDone();
  }

  taken() {
    this.fail("there is something of that name already");
    const again = button("Replace", this.name, () => {
      this.line.remove();
      add(this.here, [this.file], true);
    });
    this.line.lastElementChild.before(again);
  }
}

function next() {
  while (active < AT_ONCE && waiting.length > 0) {
    const transfer = waiting.shift();
    active += 1;
    transfer.start(transfer.replace);
  }
}

export function add(here, files, replace = false) {
  for (const file of files) {
    const transfer = new Transfer(here, file, file.name.normalize("NFC"));
    transfer.replace = replace;
    waiting.push(transfer);
  }
  next();
}

export function busy() {
  return active > 0;
}
