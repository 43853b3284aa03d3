// Times in the viewer's zone and language; UTC stays in the title.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dayAndHour = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });

const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

export function ago(moment, now = Date.now()) {
  const seconds = Math.round((now - moment.getTime()) / 1000);
  if (Math.abs(seconds) < 10) return "just now";
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size);
  return relative.format(-Math.trunc(seconds / length), unit);
}

export function clockOf(moment) {
  return Number.isNaN(moment.getTime()) ? "" : clock.format(moment);
}

export function fullOf(moment) {
  return Number.isNaN(moment.getTime()) ? "" : full.format(moment);
}

export function timeElement(text, show = "clock") {
  const moment = new Date(text);
  const element = document.createElement("time");
  if (Number.isNaN(moment.getTime())) return element;
  element.dateTime = text;
  element.dataset.show = show;
  element.title = `${moment.toISOString().replace("T", " ").slice(0, 19)} UTC`;
  element.textContent = show === "relative" ? ago(moment) : clock.format(moment);
  return element;
}

const SHOW = {
  relative: (moment) => ago(moment),
  clock: (moment) => clock.format(moment),
  hour: (moment) => dayAndHour.format(moment),
  full: (moment) => full.format(moment),
};

export function showTimes(root) {
  for (const element of root.querySelectorAll("time[data-show]")) {
    const text = SHOW[element.dataset.show](new Date(element.dateTime));
    if (element.textContent !== text) element.textContent = text;
  }
  for (const element of root.querySelectorAll("[data-hour], [data-day]")) {
    const { hour: at, day: date } = element.dataset;
    const text = at ? hour.format(new Date(at)) : day.format(new Date(date)); // days are those of UTC
    element.textContent = element.dataset.text ? `${text}: ${element.dataset.text}` : text;
  }
}
