// Rename, move, delete and the way back.
import { Refusal, ask, spoken, toast } from "./common.js";

const dialog = document.getElementById("ask");
const part = (name) => document.getElementById("ask-" + name);

function fields(values) {
  return new URLSearchParams(values);
}

// Asks until `attempt` takes the answer or the reader gives up.
export function question({ title, text = "", label = "", value = null, folders = null, ok, danger = false }, attempt) {
  part("title").textContent = title;
  part("text").textContent = text;
  part("error").textContent = "";
  part("label").hidden = value === null;
  part("label").firstElementChild.textContent = label;
  part("input").value = value ?? "";
  part("input").required = value !== null;
  part("folders").hidden = folders === null;
  part("folders").replaceChildren(...(folders ?? []));
  part("ok").textContent = ok;
  part("ok").className = danger ? "primary danger" : "primary";
  const form = dialog.querySelector("form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    part("ok").disabled = true;
    try {
      await attempt(part("input").value.trim());
      dialog.close();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      part("error").textContent = spoken(error.message);
    } finally {
      part("ok").disabled = false;
    }
  };
  dialog.showModal();
  if (value !== null) {
    const dot = value.lastIndexOf(".");
    part("input").focus();
    // The part that people change; the ending stays.
    part("input").setSelectionRange(0, dot > 0 ? dot : value.length);
  }
}

part("cancel").addEventListener("click", () => dialog.close());

export function rename(here, name, done) {
  question({ title: "Rename", label: "New name", value: name, ok: "Rename" }, async (to) => {
    if (to === name) return;
    await ask("POST", here + "?t=rename", fields({ from_name: name, to_name: to, replace: "false" }));
    await done();
    toast("Renamed to " + to, { seconds: 4 });
  });
}

function choice(label, value, checked) {
  const line = document.createElement("label");
  const radio = document.createElement("input");
  Object.assign(radio, { type: "radio", name: "folder", value, checked, required: true });
  line.append(radio, label);
  return line;
}

// The folders beside it and the one above; any other by its cap.
export function move(here, name, done) {
  const [root, ...names] = here.split("/").filter((part) => part !== "").slice(1).map(decodeURIComponent);
  const below = (path) => [root, ...path].join("/");
  const choices = [];
  for (let depth = names.length - 1; depth >= 0; depth -= 1) {
    const above = depth === 0 ? "Folder (top)" : names[depth - 1];
    choices.push(choice("↑ " + above, below(names.slice(0, depth)), false));
  }
  for (const row of document.querySelectorAll("tr[data-kind=folder]")) {
    const folder = row.dataset.name;
    if (folder !== name) choices.push(choice(folder, below([...names, folder]), false));
  }
  choices.push(choice("Another folder, by its cap", "", choices.length === 0));
  const asked = { title: "Move " + name, label: "Cap of the folder", value: "", folders: choices, ok: "Move" };
  // The field for a cap belongs to the last choice.
  const show = () => {
    part("label").hidden = part("folders").querySelector("input:checked")?.value !== "";
  };
  part("folders").onchange = show;
  question(asked, async (cap) => {
    const picked = part("folders").querySelector("input:checked");
    const target = picked?.value || cap;
    if (!target) throw new Refusal(0, "choose a folder or give its cap");
    await ask("POST", here + "?t=relink", fields({ from_name: name, to_dir: target, to_name: name, replace: "false" }));
    await done();
    toast("Moved " + name, { seconds: 4 });
  });
  part("input").required = false;
  show();
  part("folders").querySelector("input").focus();
}

// The whole entry is kept in the page for as long as the message stands, so that undo brings back its dates too.
export async function remove(here, name, done) {
  const place = here + encodeURIComponent(name);
  try {
    const [kind, facts] = JSON.parse(await ask("GET", place + "?t=json"));
    await ask("DELETE", place);
    const entry = { [name]: [kind, { rw_uri: facts.rw_uri, ro_uri: facts.ro_uri, metadata: facts.metadata }] };
    const undo = async () => {
      try {
        await ask("POST", here + "?t=set_children&replace=false", JSON.stringify(entry));
        await done();
        toast("Brought back " + name, { seconds: 4 });
      } catch (error) {
        toast(spoken(error.message), { bad: true });
      }
    };
    await done();
    toast("Deleted " + name, { action: undo, label: "Undo", seconds: 15 });
  } catch (error) {
    toast(spoken(error.message), { bad: true });
  }
}

export async function makeFolder(here, name, done) {
  await ask("POST", here + "?t=mkdir&replace=false", fields({ name }));
  await done();
}
