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
    view.innerHTML = message.data;
    announce();
    heard();
  });
  stream.addEventListener("heartbeat", heard);
  stream.onopen = heard;
  stream.onerror = lost;
  clearTimeout(silence);
  silence = setTimeout(() => { lost(); reopen(); }, SILENCE_MS);
}

announce();
reopen();
