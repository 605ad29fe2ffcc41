// Shows a file without leaving the folder. Nothing that is stored can run here: text becomes text, pictures and sound go
// into elements that run no script, and everything else is offered for download.
import { bytes, sentence, spoken } from "./common.js";

// Enough to recognise a text; the rest is a download away.
const TEXT_BYTES_MAX = 256 * 1024;

const IMAGE = /\.(png|jpe?g|gif|webp|avif|bmp|ico|svg)$/i;
const VIDEO = /\.(mp4|webm|ogv|mov|m4v)$/i;
const AUDIO = /\.(mp3|ogg|oga|wav|flac|m4a|opus)$/i;
const BINARY = /\.(zip|gz|xz|zst|bz2|7z|tar|pdf|docx?|xlsx?|pptx?|exe|iso|bin|so|o|jar|apk|dmg|parquet|sqlite)$/i;

const dialog = document.getElementById("preview");
const body = document.getElementById("preview-body");

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

function nothing(text) {
  const box = element("div", { className: "empty" });
  box.append(element("p", { textContent: text }));
  return box;
}

async function text(href) {
  const answer = await fetch(href, { headers: { Range: "bytes=0-" + (TEXT_BYTES_MAX - 1), Accept: "application/json" } });
  // An empty file has no first byte.
  if (answer.status === 416) return nothing("The file is empty.");
  if (!answer.ok) return nothing(spoken(sentence(answer.status, await answer.text())));
  const content = new Uint8Array(await answer.arrayBuffer());
  if (content.length === 0) return nothing("The file is empty.");
  if (content.subarray(0, 8192).includes(0)) return nothing("No preview of this kind of file.");
  const box = element("div", {});
  const shown = element("pre", { textContent: new TextDecoder().decode(content) });
  shown.tabIndex = 0;
  box.append(shown);
  const all = Number(/\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "")?.[1] ?? content.length);
  if (all > content.length) box.append(nothing("The first " + bytes(content.length) + " of " + bytes(all) + "."));
  return box;
}

function media(tag, href, name) {
  const shown = element(tag, { src: href });
  if (tag === "img") shown.alt = name;
  else shown.controls = true;
  shown.addEventListener("error", () => body.replaceChildren(nothing("It cannot be shown.")));
  return shown;
}

async function content(href, name) {
  if (IMAGE.test(name)) return media("img", href, name);
  if (VIDEO.test(name)) return media("video", href, name);
  if (AUDIO.test(name)) return media("audio", href, name);
  if (BINARY.test(name)) return nothing("No preview of this kind of file.");
  try {
    return await text(href);
  } catch {
    return nothing("The gateway cannot be reached.");
  }
}

export async function preview(href, name) {
  document.getElementById("preview-title").textContent = name;
  document.getElementById("preview-save").href = href + "?save=true";
  body.replaceChildren(nothing("Reading…"));
  dialog.showModal();
  body.replaceChildren(await content(href, name));
}

document.getElementById("preview-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
// A video must not play on behind the page.
dialog.addEventListener("close", () => body.replaceChildren());
