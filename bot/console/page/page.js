// The console page: one line to Maildesk, the queue, the selected ticket, commands and notes.

import * as card from "./card.js";
import { local } from "./look.js";
import { isPressing, onRelease } from "./pointer.js";
import * as queue from "./queue.js";

const at = (id) => document.getElementById(id);

let line = null;
let selected = null;
let hasChosen = false; // until then the first of the queue is shown, whichever it is
let asked = 0; // how often a ticket was opened here
let waiting = null; // a queue that came while something was pressed
let uploads = 0;
const sent = new Map(); // key → the click, until it is answered
const taken = new Set(); // the keys of those that have arrived
const LATE = 5000; // milliseconds

// -- the line

let pause = 250;

function connect() {
  line = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  line.addEventListener("open", () => {
    pause = 250;
    connection("on", "Connected");
    if (selected !== null) request(selected);
  });
  line.addEventListener("message", (event) => hear(JSON.parse(event.data)));
  line.addEventListener("close", () => {
    for (const key of [...sent.keys()]) answered(key);
    connection("off", "Not connected, trying again…");
    setTimeout(again, pause);
    pause = Math.min(pause * 2, 4000);
  });
}

async function again() {
  const isOut = await fetch("/", { cache: "no-store" }).then((a) => a.status === 403, () => false);
  if (!isOut) return connect();
  connection("out", "Signed out: open the address that Maildesk printed when it started");
  setTimeout(again, 5000);
}

function connection(state, words) {
  at("connection").dataset.state = state;
  at("connection").textContent = words;
  document.body.dataset.connection = state;
}

function say(message) {
  if (line?.readyState === WebSocket.OPEN) line.send(JSON.stringify(message));
  else toast("Not connected: nothing was sent. What you typed stays here.");
  return line?.readyState === WebSocket.OPEN;
}

function hear(message) {
  if (message.type === "queue") showQueue(message);
  if (message.type === "card") showCard(message);
  if (message.type === "mail") card.receiveMail(message);
  if (message.type === "reply") showAnswer(message.text);
  if (message.type === "taken") taken.add(message.key);
  if (message.type === "done") done(message.key);
  if (message.type === "note") note(message);
}

// -- queue and card

function showQueue(message) {
  const { reading, sent: left, is_more } = message.counts;
  const number = `${message.counts.waiting || ""}${is_more ? "+" : ""}`;
  const counts = [`${number || 0} waiting`, reading && `${reading} being drafted`, left && `${left} sent`];
  at("counts").textContent = counts.filter(Boolean).join(" · ");
  document.title = number ? `(${number}) Maildesk` : "Maildesk";
  waiting = message;
  if (!isPressing()) drawQueue();
}

function drawQueue() {
  if (!waiting) return;
  const message = waiting;
  waiting = null;
  if (!hasChosen) {
    const first = message.rows[0]?.id ?? null;
    if (first !== null && first !== selected) open(first);
  }
  queue.draw(message, selected, choose);
  document.body.classList.toggle("nothing", selected === null);
}

function choose(id) {
  if (id === null) return;
  hasChosen = true;
  if (id !== selected) open(id);
}

function select(id) {
  selected = id;
  for (const question of document.querySelectorAll(".question")) question.remove();
  queue.select(id);
}

function open(id) {
  select(id);
  request(id);
}

function request(id) {
  asked += 1;
  say({ type: "open", id, number: asked });
}

function showCard(message) {
  if (message.asked < asked) return; // it was on its way before the person went on
  // a command may have opened another ticket than the selected one
  if (message.id !== selected) {
    hasChosen = true;
    select(message.id);
  }
  document.body.classList.remove("nothing");
  card.receive(message);
  showBusy();
}

// -- acting

card.onPress((data) => {
  hasChosen = true;
  if (data.verb === "approve" && card.typedFor(data.t, "edit") !== undefined) {
    card.showTyped();
    ask("You changed the text and did not save it. Send the draft without your changes?",
      "Send without them", () => act(data));
    return;
  }
  act(data);
});

function act(data) {
  const key = newKey();
  if (!say({ type: "act", key, data })) return;
  sent.set(key, { ...data, version: card.version() });
  setTimeout(() => {
    if (sent.has(key) && !taken.has(key)) toast("Maildesk does not answer. It may have heard you: look at the card before you try it again.");
  }, LATE);
  showBusy();
}

/** The card whose button was pressed is dimmed until there is an answer. */
function showBusy() {
  const isBusy = [...sent.values()].some((data) => card.isShown(data.t) && data.verb !== "start_edit");
  at("card").classList.toggle("busy", isBusy || uploads > 0);
}

function answered(key) {
  const data = sent.get(key);
  sent.delete(key);
  taken.delete(key);
  showBusy();
  return data;
}

function done(key) {
  const data = answered(key);
  if (!data || data.verb === "start_edit") return;
  const verb = data.verb === "edit_send" ? "edit" : data.verb;
  if (card.isWrittenOn(data, verb)) return;
  if (card.isShown(data.t)) card.release();
  if (verb === "edit" || verb === "regenerate") card.forget(data.t, verb);
  else if (card.isShown(data.t)) {
    card.fold();
    card.showOwn(data.t, data.version);
  }
}

function note(message) {
  const data = answered(message.key);
  const isElsewhere = data && data.t !== selected;
  const text = `${isElsewhere ? `#${data.t}: ` : ""}${local(message.text)}`;
  if (!message.confirm || !data) return toast(text);
  if (isElsewhere) return toast(`${text} Nothing was done yet.`);
  const label = data.verb === "start_edit" ? "Take over" : "Do it anyway";
  ask(text, label, () => act({ ...data, version: undefined, confirmed: true }));
}

// -- files

const newKey = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;

async function attach(file) {
  const about = card.about();
  if (!file || !about?.r) return;
  const form = new FormData();
  form.append("about", JSON.stringify({ key: newKey(), ...about }));
  form.append("file", file);
  uploads += 1;
  showBusy();
  const told = await fetch("/attach", { method: "POST", body: form })
    .then((answer) => answer.json())
    .catch(() => ({ text: "The file did not arrive: try it once more." }));
  uploads -= 1;
  showBusy();
  if (told.text) toast(local(told.text));
}

at("file").addEventListener("change", () => {
  attach(at("file").files[0]);
  at("file").value = "";
});
at("ticket").addEventListener("dragover", (event) => event.preventDefault());
at("ticket").addEventListener("drop", (event) => {
  event.preventDefault();
  attach(event.dataTransfer?.files[0]);
});

// -- notes and answers

function ask(text, label, then) {
  const box = toast(text, 0);
  box.classList.add("question");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.addEventListener("click", () => { box.remove(); then(); });
  box.insertBefore(button, box.lastElementChild);
  // whoever is typing must not say yes with the next space
  if (!isTyping(document.activeElement)) button.focus();
}

function toast(text, seconds = 9) {
  const box = document.createElement("div");
  box.className = "toast";
  box.append(Object.assign(document.createElement("p"), { textContent: text }));
  const close = Object.assign(document.createElement("button"), { type: "button", textContent: "✕" });
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => box.remove());
  box.append(close);
  at("toasts").append(box);
  if (seconds) setTimeout(() => box.remove(), seconds * 1000);
  return box;
}

function showAnswer(text) {
  at("answer").hidden = !text;
  at("answer-text").textContent = local(text);
  at("answer-text").scrollTop = 0;
}

at("command").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = at("line").value.trim();
  const key = newKey();
  if (!typed || !say({ type: "command", line: typed, key })) return;
  // what is done to a ticket is shown there, also when it leaves the queue by it
  if (/\d/.test(typed)) hasChosen = true;
  at("line").value = "";
});
at("close-answer").addEventListener("click", () => showAnswer(""));
at("show-keys").addEventListener("click", () => at("keys").showModal());

// -- keys

const isTyping = (element) => Boolean(element?.matches("textarea, input, select"));

const KEYS = {
  j: () => choose(queue.neighbour(selected, 1)),
  k: () => choose(queue.neighbour(selected, -1)),
  a: () => card.use("open_approve", "approve") || toast("There is nothing to approve here."),
  e: () => card.use("open_edit") || toast("There is nothing to edit here."),
  u: () => card.use("undo") || toast("There is nothing to undo: only a reply that has not left yet."),
  "/": () => at("line").focus(),
  "?": () => at("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (isTyping(event.target)) event.target.blur();
    else showAnswer("");
    return;
  }
  if (isTyping(event.target) || at("keys").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

window.addEventListener("beforeunload", (event) => { if (card.hasTyped()) event.preventDefault(); });
onRelease(drawQueue);
setInterval(() => { queue.tick(); }, 10000);
setInterval(() => { card.tick(); }, 1000);
connect();
