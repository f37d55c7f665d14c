// Words for times, and how adaptivecards draws a card. Colours are variables of page.css, so that
// light and dark need one configuration only.

const MARK = /\ue000(\d+)\ue001/g;

export const clock = (at) => at.toLocaleTimeString([], { timeStyle: "short" });

/** With the day, unless that is today. */
export function dayAndClock(at) {
  if (at.toDateString() === new Date().toDateString()) return clock(at);
  return `${at.toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" })} ${clock(at)}`;
}

/** Time marks of a text in the zone of this browser. */
export const local = (text) => text.replace(MARK, (_, seconds) => dayAndClock(new Date(seconds * 1000)));

export function span(minutes) {
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  if (hours < 24) return rest ? `${hours} h ${rest} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

/** [words, is it too late] for a due time. */
export function due(at, now = Date.now()) {
  const minutes = Math.floor((Date.parse(at) - now) / 60000);
  return minutes < 0 ? [`Overdue by ${span(-minutes)}`, true] : [`Due in ${span(minutes)}`, false];
}

const colours = (text, subtle = "var(--quiet)") => ({
  default: { default: text, subtle },
  dark: { default: text, subtle },
  light: { default: text, subtle },
  accent: { default: "var(--accent-text)", subtle: "var(--accent-text)" },
  good: { default: "var(--good-text)", subtle: "var(--good-text)" },
  warning: { default: "var(--warning-text)", subtle: "var(--warning-text)" },
  attention: { default: "var(--alarm-text)", subtle: "var(--alarm-text)" },
});

const style = (name) => ({
  backgroundColor: `var(--${name}-back)`,
  foregroundColors: colours(`var(--${name}-text)`, `var(--${name}-subtle)`),
});

export const HOST = {
  fontFamily: "inherit",
  supportsInteractivity: true,
  fontSizes: { small: 13, default: 15, medium: 18, large: 21, extraLarge: 26 },
  fontWeights: { lighter: 300, default: 400, bolder: 600 },
  lineHeights: { small: 18, default: 22, medium: 25, large: 28, extraLarge: 34 },
  spacing: { small: 6, default: 10, medium: 16, large: 22, extraLarge: 28, padding: 20 },
  separator: { lineThickness: 1, lineColor: "var(--line)" },
  containerStyles: {
    default: { backgroundColor: "transparent", foregroundColors: colours("var(--text)") },
    emphasis: { backgroundColor: "var(--quote)", foregroundColors: colours("var(--text)") },
    accent: style("calm"),
    good: style("good"),
    warning: style("warning"),
    attention: style("alarm"),
  },
  factSet: {
    title: { weight: "bolder", wrap: false, maxWidth: 160 },
    value: { wrap: true },
    spacing: 18,
  },
  inputs: {
    label: { inputSpacing: "small", optionalInputs: { color: "default", isSubtle: true } },
  },
  actions: {
    maxActions: 8,
    spacing: "default",
    buttonSpacing: 8,
    showCard: { actionMode: "inline", inlineTopMargin: 14, style: "default" },
    actionsOrientation: "horizontal",
    actionAlignment: "left",
  },
};
