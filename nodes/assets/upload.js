// Shows the progress of uploads and takes dropped files. Without it the form works as a plain form.
"use strict";
(() => {
  const form = document.getElementById("upload");
  const input = document.getElementById("file");
  const results = document.getElementById("results");

  function line(text, kind) {
    const item = document.createElement("p");
    item.textContent = text;
    if (kind) item.className = kind;
    return item;
  }

  function stored(file, answer) {
    const item = document.createElement("p");
    const link = document.createElement("a");
    link.href = "/file/" + encodeURIComponent(answer.cap) + "/" + encodeURIComponent(file.name);
    link.textContent = file.name;
    const cap = document.createElement("span");
    cap.className = "cap";
    cap.textContent = answer.cap;
    item.append(link, document.createElement("br"), cap);
    return item;
  }

  function message(request) {
    try {
      return JSON.parse(request.responseText).error.message;
    } catch {
      return "the gateway answered with status " + request.status;
    }
  }

  function send(file) {
    return new Promise((resolve) => {
      const label = line(file.name);
      const bar = document.createElement("progress");
      results.append(label, bar);
      const end = (item) => {
        bar.remove();
        label.replaceWith(item);
        resolve();
      };
      const request = new XMLHttpRequest();
      request.open("PUT", "/uri");
      request.setRequestHeader("Accept", "application/json");
      request.upload.onprogress = (event) => {
        if (!event.lengthComputable) return;
        bar.max = event.total;
        bar.value = event.loaded;
        if (event.loaded === event.total) bar.removeAttribute("value");
      };
      request.onload = () => {
        if (request.status === 200) end(stored(file, JSON.parse(request.responseText)));
        else end(line(file.name + ": " + message(request), "bad"));
      };
      request.onerror = () => end(line(file.name + ": the connection to the gateway broke", "bad"));
      request.send(file);
    });
  }

  async function sendAll(files) {
    for (const file of files) await send(file);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sendAll([...input.files]).then(() => form.reset());
  });
  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    sendAll([...event.dataTransfer.files]);
  });
})();
