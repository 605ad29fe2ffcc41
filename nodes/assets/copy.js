// Buttons that copy a cap. Hidden until here, since they can do nothing without a script.
import { toast } from "./common.js";

export function showCopyButtons(root) {
  for (const button of root.querySelectorAll("[data-copy], [data-link]")) button.hidden = false;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Only secure contexts have a clipboard; an address that is not loopback without TLS is none.
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-link]");
  if (!button) return;
  button.closest("details.menu")?.removeAttribute("open");
  const { copy: text, link } = button.dataset;
  if (await copy(text ?? location.origin + "/uri/" + link)) toast("Copied. Whoever has it can use it.", { seconds: 4 });
  else toast("The browser did not allow to copy", { bad: true });
});

showCopyButtons(document);
