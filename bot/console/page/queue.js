// The list on the left: the queue in its order, and what is selected in it.

import { dayAndClock, due, local } from "./look.js";

const rows = document.getElementById("rows");
const empty = document.getElementById("empty");

let order = [];
let place = 0;

export function draw(queue, selected, choose) {
  order = queue.rows.map((row) => row.id);
  const had = document.activeElement?.closest("#rows [data-ticket]")?.dataset.ticket;
  rows.replaceChildren(...queue.rows.map((row) => item(row, choose)));
  empty.hidden = order.length > 0;
  empty.textContent = queue.counts.reading
    ? "The first mails are being read and drafted. They appear here in a moment."
    : "Nobody waits. Well done.";
  select(selected);
  tick();
  if (had) rows.querySelector(`[data-ticket="${had}"] button`)?.focus();
}

export function select(id) {
  if (order.includes(id)) place = order.indexOf(id);
  for (const row of rows.children) {
    const button = row.firstElementChild;
    if (Number(row.dataset.ticket) === id) {
      button.setAttribute("aria-current", "true");
      row.scrollIntoView({ block: "nearest" });
    } else button.removeAttribute("aria-current");
  }
}

/** The ticket `steps` away from the selected one. One that left the queue was where the next is now. */
export function neighbour(selected, steps) {
  if (!order.length) return null;
  const isListed = order.includes(selected);
  const from = isListed ? order.indexOf(selected) : place - (steps > 0 ? 1 : 0);
  return order[Math.max(0, Math.min(order.length - 1, from + steps))];
}

export function tick() {
  for (const label of rows.querySelectorAll("time")) {
    const [words, isLate] = due(label.dateTime);
    label.textContent = words.replace("Due in ", "in ");
    label.title = `Due at ${dayAndClock(new Date(label.dateTime))}`;
    label.classList.toggle("late", isLate);
  }
}

function item(row, choose) {
  const line = make("li", { "data-ticket": row.id, "data-urgency": row.urgency });
  const button = make("button", { type: "button" });
  button.addEventListener("click", () => choose(row.id));
  const below = make("span", { class: "below" });
  below.append(make("span", { class: "urgency" }, row.urgency), make("span", { class: "who" }, row.who));
  if (row.due_at) below.append(make("time", { datetime: row.due_at }));
  button.append(make("strong", {}, row.subject), below);
  const holder = row.is_mine ? "Claimed by you" : row.assignee && `Claimed by ${row.assignee}`;
  const status = local(row.status) || holder;
  if (status) button.append(make("span", { class: "status", "data-tone": row.status ? row.tone : "quiet" }, status));
  line.append(button);
  return line;
}

function make(name, attributes, text = "") {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}
