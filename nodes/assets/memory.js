// Names and caps of folders in this browser's own storage.

const KEY = "truckee.folders";
// More than anybody keeps in a list without a search.
const FOLDERS_MAX = 50;

export function remembered() {
  try {
    const folders = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return folders.filter((folder) => typeof folder.cap === "string" && typeof folder.name === "string");
  } catch {
    // Storage that is switched off or damaged remembers nothing.
    return [];
  }
}

function keep(folders) {
  try {
    localStorage.setItem(KEY, JSON.stringify(folders.slice(0, FOLDERS_MAX)));
    return true;
  } catch {
    return false;
  }
}

export function remember(name, cap) {
  return keep([{ name, cap }, ...remembered().filter((folder) => folder.cap !== cap)]);
}

export function forget(cap) {
  return keep(remembered().filter((folder) => folder.cap !== cap));
}

export function knows(cap) {
  return remembered().some((folder) => folder.cap === cap);
}
