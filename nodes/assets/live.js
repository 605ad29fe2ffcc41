// Keeps a part of the page fresh while it is looked at.
import { localTimes } from "./common.js";

const part = document.getElementById("live");
localTimes(document);

async function refresh() {
  if (document.hidden || part.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (!fresh) return;
    part.replaceChildren(...fresh.childNodes);
    localTimes(part);
    if (!fresh.dataset.every) clearInterval(timer);
  } catch {
    // The gateway is away for a moment; the next look will tell.
  }
}

const seconds = Number(part?.dataset.every);
const timer = seconds ? setInterval(refresh, seconds * 1000) : 0;
