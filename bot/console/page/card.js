// The selected ticket: its card as adaptivecards draws it, and what a person has typed into it.
// Nothing typed is ever lost: a card with typed text stays until the person asks for the new one.

import { due, HOST, local } from "./look.js";
import { isPressing, onRelease } from "./pointer.js";

const at = (id) => document.getElementById(id);
const host = new AdaptiveCards.HostConfig(HOST);
AdaptiveCards.AdaptiveCard.onProcessMarkdown = (_text, result) => { result.didProcess = false; };

/** What was typed and not sent: ticket → verb → {text, seen}. */
const typed = new Map();

let shown = null; // the message that is drawn
let waiting = null; // a newer one that would disturb the typing
let drawn = null; // the AdaptiveCard
let awaited = null; // the version that the person's own click left behind
let isReopening = false; // by us, not by the person: the focus stays where it is
let press = () => {};

export const onPress = (handler) => { press = handler; };
export const about = () => (shown ? { t: shown.id, r: shown.seen?.id, v: shown.seen?.version, h: shown.seen?.hash } : null);
export const version = () => shown?.version;
export const isShown = (id) => shown?.id === id;
export const hasTyped = () => typed.size > 0;
export const typedFor = (id, verb) => typed.get(id)?.[verb]?.text;

/** A card from the server. */
export function receive(message) {
  const isSame = shown?.id === message.id;
  const isAskedFor = awaited !== null && message.version > awaited;
  awaited = null;
  if (isSame && mustWait(message) && !isAskedFor) hold(message);
  else render(message, isSame);
}

/** What the person pressed was done: the card may be drawn anew under their hands. */
export function release() {
  if (at("card").contains(document.activeElement)) at("ticket").focus({ preventScroll: true });
}

/** What the person did is shown, whatever else is typed: that is kept. */
export function showOwn(id, version) {
  if (shown?.id !== id) return;
  if (waiting) render(waiting, true);
  else if (shown.version === version) awaited = version;
}

/** What was done from behind More is done: it closes, unless something is typed there. */
export function fold() {
  if (expanded() === "open_more" && !typed.get(shown?.id)?.regenerate) collapse();
}

/** Opens the field with the person's text, if another button closed it. */
export function showTyped() {
  if (typed.get(shown?.id)?.edit && expanded() !== "open_edit") reopenField("open_edit");
}

/** Whether the person wrote on after this was pressed. */
export function isWrittenOn({ t, ...data }, verb) {
  const [, text] = Object.entries(data).find(([name]) => verbOf(name) === verb) ?? [];
  return (typedFor(t, verb) ?? text) !== text;
}

/** The person's text was taken over by the desk. */
export function forget(id, verb) {
  const left = { ...typed.get(id) };
  delete left[verb];
  if (Object.keys(left).length) typed.set(id, left);
  else typed.delete(id);
  if (shown?.id === id) {
    at("kept").hidden = true;
    if (waiting) render(waiting, true, false);
    else collapse();
  }
}

export function receiveMail(message) {
  if (message.id !== shown?.id) return;
  at("mail").hidden = false;
  at("mail").open = message.is_open;
  at("mail-text").textContent = local(message.text);
}

/** Presses the button of a verb, or opens the field behind it. True when there is one. */
export function use(...names) {
  const action = names.map((name) => drawn?.getActionById(name)).find((found) => found);
  const button = action?.renderedElement;
  if (!button) return false;
  const isOpen = button.getAttribute("aria-expanded") === "true";
  if (!isOpen) button.click();
  const field = at("card").querySelector("textarea, .ac-showCard .ac-pushButton");
  if (isOpen) field?.focus();
  return true;
}

export function tick() {
  if (!shown) return;
  if (shown.due_at) say("due", due(shown.due_at)[0]);
  if (shown.leaves_at) {
    const seconds = Math.max(0, Math.ceil((Date.parse(shown.leaves_at) - Date.now()) / 1000));
    const left = seconds ? ` · in ${seconds} s` : "";
    say("status", local(shown.status) + left);
  }
}

// -- drawing

function say(id, text) {
  const element = at("card").querySelector(`#${id}`);
  if (element && element.textContent !== text) element.textContent = text;
}

function render(message, isSame, keepsOpen = true) {
  const open = isSame && keepsOpen ? expanded() : null;
  const said = shown?.status;
  const hadFocus = at("card").contains(document.activeElement);
  shown = message;
  waiting = null;
  at("changed").hidden = true;
  drawn = new AdaptiveCards.AdaptiveCard();
  drawn.hostConfig = host;
  drawn.parse(restored(message));
  drawn.onExecuteAction = (action) => press({ ...action.data });
  drawn.onInputValueChanged = remember;
  drawn.onInlineCardExpanded = (action, isExpanded) => {
    // the field behind More is one of several things there: the keys stay those of the page
    if (isExpanded) revealPart(action.id !== "open_more");
  };
  at("card").replaceChildren(drawn.render());
  at("attach").hidden = !message.takes_files;
  at("card").dataset.ticket = message.id;
  at("card").dataset.version = message.version;
  for (const field of at("card").querySelectorAll("textarea")) grow(field);
  if (!isSame) {
    at("mail").hidden = true;
    at("ticket").scrollTop = 0;
  }
  else if (message.status !== said) at("ticket").scrollTo({ top: 0 });
  reopen(message, open);
  if (hadFocus && !at("card").contains(document.activeElement)) at("ticket").focus();
  tick();
}

/** The card with times in the zone of this browser, and the person's own text in its fields. */
function restored(message) {
  const card = JSON.parse(local(JSON.stringify(message.card)));
  for (const input of inputs(card)) {
    const mine = typed.get(message.id)?.[verbOf(input.id)];
    if (mine) input.value = mine.text;
  }
  return card;
}

function reopen(message, open) {
  const mine = typed.get(message.id) ?? {};
  const fields = inputs(message.card).map((input) => verbOf(input.id));
  const lost = Object.entries(mine).filter(([verb]) => !fields.includes(verb));
  at("kept").hidden = !lost.length;
  at("kept-text").value = lost.map(([, { text }]) => text).join("\n\n");
  const wanted = mine.edit && fields.includes("edit") ? "open_edit" : open;
  if (wanted) reopenField(wanted);
  if (mine.edit && mine.edit.seen !== JSON.stringify(message.seen) && fields.includes("edit")) {
    at("changed").hidden = false;
    at("show-changed").hidden = true;
    at("changed-text").textContent =
      "This is the draft as it is now. What you typed is in the field below it.";
  }
}

function hold(message) {
  const isSameDraft = JSON.stringify(message.seen) === JSON.stringify(shown.seen);
  waiting = message;
  if (isSameDraft && (message.is_editing || message.status === shown.status)) return;
  const what = isSameDraft ? local(message.status) : "This ticket changed meanwhile";
  const status = !isSameDraft && message.status ? `: ${local(message.status)}` : "";
  at("changed-text").textContent = `${what}${status}.${typed.has(shown.id) ? " Your text is kept." : ""}`;
  at("show-changed").hidden = false;
  at("changed").hidden = false;
}

// -- typing

const verbOf = (id) => id.replace(/_\d+_\d+$/, "");

function inputs(card) {
  const found = [];
  const walk = (node) => {
    if (Array.isArray(node)) node.forEach(walk);
    else if (node && typeof node === "object") {
      if (node.type === "Input.Text") found.push(node);
      else Object.values(node).forEach(walk);
    }
  };
  walk(card);
  return found;
}

function remember(input) {
  const verb = verbOf(input.id);
  const original = inputs(shown.card).find((field) => field.id === input.id)?.value ?? "";
  const text = input.value ?? "";
  const mine = { ...typed.get(shown.id) };
  const isFirst = !mine[verb];
  if (text === original) delete mine[verb];
  else mine[verb] = { text, seen: mine[verb]?.seen ?? JSON.stringify(shown.seen) };
  if (Object.keys(mine).length) typed.set(shown.id, mine);
  else typed.delete(shown.id);
  if (verb === "edit" && isFirst && mine[verb]) startEdit();
}

/** The colleagues see who is editing as soon as something is typed. */
function startEdit() {
  const seen = shown.seen ?? {};
  press({ verb: "start_edit", t: shown.id, r: seen.id, v: seen.version, h: seen.hash });
}

function reopenField(id) {
  isReopening = true;
  drawn.getActionById(id)?.renderedElement?.click();
  isReopening = false;
}

/** Whether drawing this now would take something out of the person's hands. */
function mustWait(message) {
  const isOtherDraft = JSON.stringify(message.seen) !== JSON.stringify(shown.seen);
  const isInOpenPart = document.activeElement?.closest("#card .ac-adaptiveCard .ac-adaptiveCard");
  return isPressing() || Boolean(isInOpenPart) || (isOtherDraft && typed.has(shown.id));
}

function settle() {
  if (waiting && !mustWait(waiting)) render(waiting, true);
}

function revealPart(takesFocus) {
  const field = at("card").querySelector("textarea, .ac-showCard .ac-pushButton");
  const shownField = [...at("card").querySelectorAll("textarea")].find((f) => f.offsetParent);
  if (takesFocus && !isReopening) (shownField ?? field)?.focus();
  if (shownField) grow(shownField);
  (shownField ?? field)?.closest(".ac-adaptiveCard")?.scrollIntoView({ block: "nearest" });
}

function grow(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

function expanded() {
  const action = drawn?.getAllActions().find(
    (found) => found.renderedElement?.getAttribute("aria-expanded") === "true");
  return action?.id ?? null;
}

function collapse() {
  const open = expanded();
  if (open) drawn.getActionById(open).renderedElement.click();
}

at("card").addEventListener("input", (event) => {
  if (event.target.matches("textarea")) grow(event.target);
});
at("card").addEventListener("focusout", () => setTimeout(settle));
onRelease(settle);
at("show-changed").addEventListener("click", () => { if (waiting) render(waiting, true); });
at("drop-kept").addEventListener("click", () => {
  typed.delete(shown?.id);
  at("kept").hidden = true;
});
