// The folders that this browser remembers, if its user said so. They are kept nowhere else.
import { remembered, forget } from "./memory.js";

function show() {
  const box = document.getElementById("remembered");
  const list = document.getElementById("remembered-list");
  const folders = remembered();
  box.hidden = folders.length === 0;
  list.replaceChildren(
    ...folders.map((folder) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = "/uri/" + encodeURIComponent(folder.cap) + "/";
      link.textContent = folder.name;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "small";
      button.textContent = "Forget";
      button.setAttribute("aria-label", "Forget " + folder.name);
      button.addEventListener("click", () => {
        forget(folder.cap);
        show();
      });
      item.append(link, button);
      return item;
    }),
  );
}

show();
