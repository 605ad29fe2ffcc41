// What several pages need: short messages, requests with their errors in words, times in the reader's zone.

export function toast(text, { bad = false, action = null, label = "", seconds = 8 } = {}) {
  const box = document.createElement("div");
  box.className = bad ? "toast bad" : "toast";
  const words = document.createElement("span");
  words.textContent = text;
  box.append(words);
  const timer = setTimeout(() => box.remove(), seconds * 1000);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      clearTimeout(timer);
      box.remove();
      action();
    });
    box.append(button);
    // Whoever is about to press it must not lose it.
    box.addEventListener("pointerenter", () => clearTimeout(timer));
    box.addEventListener("focusin", () => clearTimeout(timer));
  }
  const toasts = document.getElementById("toasts");
  // A new message takes the place of those that ask nothing.
  for (const old of [...toasts.children]) if (!old.querySelector("button")) old.remove();
  toasts.append(box);
}

// The sentence in an error's JSON, else its text, else the status.
export function sentence(status, text) {
  try {
    const found = JSON.parse(text).error;
    if (found && found.message) return found.message;
  } catch {
    // No JSON: an answer of something between us and the gateway.
  }
  return "the gateway answered with status " + status;
}

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function ask(method, url, body) {
  let answer;
  try {
    answer = await fetch(url, { method, body, headers: { Accept: "application/json" }, redirect: "error" });
  } catch {
    throw new Refusal(0, "the gateway cannot be reached");
  }
  const text = await answer.text();
  if (!answer.ok) throw new Refusal(answer.status, sentence(answer.status, text));
  return text;
}

export function upper(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// An error as a sentence of its own.
export function spoken(text) {
  return /[.…!?]$/.test(text) ? upper(text) : upper(text) + ".";
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 999.95 && unit + 1 < units.length) {
    count /= 1000;
    unit += 1;
  }
  return (unit === 0 ? count : count.toFixed(1)) + " " + units[unit];
}

export function localTimes(root) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    time.title = moment.toLocaleString();
    time.textContent = format.format(moment);
  }
}
