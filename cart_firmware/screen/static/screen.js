// The cart's page: shows what the stream says. Every message is the whole view, so a missed one does not matter.
"use strict";

const SILENCE_MS = 40000; // the server sends a heartbeat every 15 s
const AGAIN_MS = 1000;

const view = document.getElementById("view");
const away = document.getElementById("away");
const saidTotal = document.getElementById("said-total");
const saidPrompt = document.getElementById("said-prompt");

let stream = null;
let silence = 0;

function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function announce() {
  const root = view.firstElementChild;
  say(saidTotal, root.dataset.saidTotal);
  say(saidPrompt, root.dataset.saidPrompt);
}

function heard() {
  away.hidden = true;
  document.body.classList.remove("is-away");
  clearTimeout(silence);
  silence = setTimeout(reopen, SILENCE_MS);
}

function lost() {
  away.hidden = false;
  document.body.classList.add("is-away");
  if (stream.readyState === EventSource.CLOSED) {
    clearTimeout(silence);
    silence = setTimeout(reopen, AGAIN_MS);
  }
}

function reopen() {
  if (stream) stream.close();
  stream = new EventSource("/events");
  stream.addEventListener("view", (message) => {
    const focused = view.contains(document.activeElement) && document.activeElement.dataset.touch;
    view.innerHTML = message.data;
    if (focused) [...view.querySelectorAll("button")].find((button) => button.dataset.touch === focused)?.focus();
    announce();
    heard();
  });
  stream.addEventListener("heartbeat", heard);
  stream.onopen = heard;
  stream.onerror = lost;
  clearTimeout(silence);
  silence = setTimeout(() => { lost(); reopen(); }, SILENCE_MS);
}

// ── touches: the page says what was touched, and shows what comes of it as the next view ──

const finder = document.getElementById("finder");
const wanted = document.getElementById("wanted");
const found = document.getElementById("found");

async function touch(what) {
  try {
    const answer = await fetch("/touch", { method: "POST", headers: { "Content-Type": "application/json" }, body: what });
    if (answer.ok) heard(); else reopen();
  } catch { lost(); }
}

async function find() {
  const text = wanted.value.trim();
  const answer = await fetch("/find?text=" + encodeURIComponent(text)).catch(() => null);
  if (text !== wanted.value.trim()) return; // a later letter asks again
  found.innerHTML = answer && answer.ok ? await answer.text() : "";
}

function key(letter) {
  wanted.value = letter === "⌫" ? wanted.value.slice(0, -1) : wanted.value + letter;
  find();
}

for (const letter of "1234567890QWERTYUIOPASDFGHJKL⌫ZXCVBNM ") {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = letter === " " ? "␣" : letter;
  button.setAttribute("aria-label", { " ": "Space", "⌫": "Delete" }[letter] || letter);
  button.addEventListener("click", () => key(letter));
  document.getElementById("keys").append(button);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.touch) touch(button.dataset.touch);
  if (button.dataset.open) {
    wanted.value = "";
    found.replaceChildren();
    finder.showModal();
    find();
  }
  if ("close" in button.dataset) finder.close();
});
wanted.addEventListener("input", find);

announce();
reopen();
