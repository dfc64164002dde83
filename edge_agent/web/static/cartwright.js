// Keeps a page live: one event stream whose pictures replace #view, and forms that are sent once however often they are tapped.
// Without this file everything still works by plain forms and reloading.
"use strict";

const view = document.getElementById("view");
const notice = document.getElementById("notice");
const lost = document.getElementById("link-lost");
const SILENCE_MS = 40000; // the store speaks every 15 s; nearly three missed times is a dead line
const GRACE_MS = 1500;    // how long a reconnect may take before the page says so, and a stream may lag behind an answer
const SETTLE_MS = 600;    // a new screen's buttons wait this long: the second half of a double tap must not pay
let source = null;
let sending = false;
let heardAt = 0;
let lostTimer = 0;

function say(id, text) {
  const region = document.getElementById(id);
  if (region && text && region.textContent !== text) region.textContent = text;
}

function tell(sentence) {
  if (!notice) return;
  notice.querySelector("span").textContent = sentence;
  notice.hidden = !sentence;
}

function setLink(up) {
  if (up) {
    window.clearTimeout(lostTimer);
    lostTimer = 0;
    lost.hidden = true;
  } else if (!lostTimer) { // every failed attempt says so again: the first one counts
    lostTimer = window.setTimeout(() => { lost.hidden = false; }, GRACE_MS);
  }
}

// ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────

function remember() {
  const kept = { open: [], values: new Map(), focus: document.activeElement && document.activeElement.id, lines: new Set() };
  for (const door of view.querySelectorAll("details[open][id]")) kept.open.push(door.id);
  for (const line of view.querySelectorAll(".line[id]")) kept.lines.add(line.id);
  for (const input of view.querySelectorAll("input[id]")) {
    kept.values.set(input.id, input.type === "radio" ? input.checked : input.value);
  }
  return kept;
}

function restore(kept) {
  for (const id of kept.open) {
    const door = document.getElementById(id);
    if (door) door.open = true;
  }
  for (const [id, value] of kept.values) {
    const input = document.getElementById(id);
    if (!input) continue;
    if (input.type === "radio") input.checked = value;
    else input.value = value;
  }
  if (kept.focus && document.activeElement.id !== kept.focus) {
    const target = document.getElementById(kept.focus);
    if (target) target.focus({ preventScroll: true });
  }
}

function show(html) {
  const before = view.querySelector(".screen");
  const phase = before ? before.dataset.phase : "";
  const kept = remember();
  view.innerHTML = html;
  const screen = view.querySelector(".screen");
  restore(kept);
  if (screen.dataset.phase === phase) {
    for (const line of view.querySelectorAll(".line[id]")) {
      if (!kept.lines.has(line.id)) line.classList.add("is-new");
    }
  } else {
    tell("");
    window.scrollTo(0, 0);
    if (kept.focus && !document.getElementById(kept.focus)) view.focus({ preventScroll: true });
    if (window.location.search && screen.dataset.phase !== "unbound") window.history.replaceState(null, "", view.dataset.home);
    stayAwake(screen.dataset.phase === "paid");
    settle();
  }
  if (notice && notice.textContent.trim() === screen.dataset.problem) tell("");
  say("say", screen.dataset.say);
  say("say-now", screen.dataset.problem || screen.dataset.alert);
  if (screen.dataset.alarms) {
    const title = document.title.replace(/^\(\d+\) /, "");
    document.title = screen.dataset.alarms === "0" ? title : "(" + screen.dataset.alarms + ") " + title;
  }
  if (sending) markBusy();
}

function settle() {
  const buttons = [...view.querySelectorAll("button[id]")];
  for (const button of buttons) button.setAttribute("aria-disabled", "true");
  window.setTimeout(() => {
    for (const button of buttons) if (!("busy" in button.dataset)) button.removeAttribute("aria-disabled");
  }, SETTLE_MS);
}

let awake = null;
function stayAwake(wanted) { // a phone must not go dark while its code is under the lane's scanner
  if (wanted && !awake && navigator.wakeLock) {
    navigator.wakeLock.request("screen").then((lock) => { awake = lock; }).catch(() => {});
  } else if (!wanted && awake) {
    awake.release();
    awake = null;
  }
}

// ── the stream ────────────────────────────────────────────────────────────────────────────────────────────────────

function listen() {
  if (source) source.close();
  heardAt = Date.now();
  source = new EventSource(view.dataset.stream);
  source.onopen = () => { heardAt = Date.now(); setLink(true); };
  source.addEventListener("view", (event) => { heardAt = Date.now(); setLink(true); show(event.data); });
  source.addEventListener("heartbeat", () => { heardAt = Date.now(); });
  source.onerror = () => setLink(false);
}

function watchLink() {
  const dead = source.readyState === EventSource.CLOSED || Date.now() - heardAt > SILENCE_MS;
  if (dead) {
    setLink(false);
    listen();
  }
}

// ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────

let busyName = "";
function markBusy() {
  const button = busyName && document.getElementById(busyName);
  if (!button) return;
  button.setAttribute("aria-disabled", "true");
  button.dataset.busy = "";
}

async function send(form, button) {
  if (sending || (button && button.getAttribute("aria-disabled") === "true")) return;
  sending = true;
  busyName = button ? button.id : "";
  markBusy();
  tell("");
  const before = view.querySelector(".screen").outerHTML;
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
      redirect: "error",
    });
    const said = await answer.json();
    if (!answer.ok) refused(form, answer, said);
    else window.setTimeout(() => catchUp(before), GRACE_MS);
  } catch {
    tell("That did not reach the store. Check the connection and try again: nothing is done twice.");
  } finally {
    sending = false;
    const now = busyName && document.getElementById(busyName);
    if (now && "busy" in now.dataset) {
      now.removeAttribute("aria-disabled");
      delete now.dataset.busy;
    }
  }
}

function refused(form, answer, said) {
  if (answer.status === 401) window.location.reload();
  const key = document.querySelector('#view input[name="key"]');
  if (said.key && key) key.value = said.key;
  const shown = view.querySelector(".screen").dataset.problem; // the stream may have told it already
  if (said.sentence !== shown) tell(said.sentence || "The store could not do that.");
}

function catchUp(before) { // done, but the stream brought nothing: fetch the page the plain way
  const screen = view.querySelector(".screen");
  if (screen.outerHTML === before) window.location.assign(view.dataset.home);
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-live]")) return;
  event.preventDefault();
  send(event.target, event.submitter);
});

if (view && view.dataset.stream && window.EventSource) {
  listen();
  window.setInterval(watchLink, 3000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) watchLink(); });
  window.addEventListener("online", watchLink);
  stayAwake(view.querySelector('[data-phase="paid"]') !== null);
}
