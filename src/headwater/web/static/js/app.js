// What every page has: copy buttons, secrets, times in the viewer's zone, the theme switch, "/" for search.

import { showTimes } from "./times.js";

const announcer = document.getElementById("announcer");

export function announce(text) {
  announcer.textContent = "";
  requestAnimationFrame(() => {
    announcer.textContent = text;
  });
}

export async function copy(button, text) {
  const label = button.querySelector("span");
  button.dataset.label ??= label.textContent;
  try {
    await toClipboard(text);
  } catch {
    label.textContent = "Press Ctrl+C";
    announce("The browser refused to copy. Select the text and press Ctrl+C.");
    return;
  }
  label.textContent = "Copied";
  button.dataset.copied = "";
  announce(`${button.dataset.what ?? ""} copied`.trim());
  clearTimeout(Number(button.dataset.timer));
  button.dataset.timer = setTimeout(() => {
    label.textContent = button.dataset.label;
    delete button.dataset.copied;
  }, 2000);
}

async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Browsers offer the clipboard only on HTTPS and localhost; a server in the local network is neither.
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr-only";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("refused");
}

function reveal(button) {
  const shown = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(shown));
  button.querySelector("span").textContent = shown ? "Hide" : "Show";
  const value = document.getElementById(button.getAttribute("aria-controls"));
  value.textContent = shown ? button.dataset.reveal : button.dataset.masked;
}

function switchTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  document.cookie = `headwater-theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
  announce(`${root.dataset.theme} theme`);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if ("copy" in button.dataset) copy(button, button.dataset.copy);
  else if ("reveal" in button.dataset) reveal(button);
  else if ("themeSwitch" in button.dataset) switchTheme();
});

// A second click on a form's button must not do it twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) event.preventDefault();
  else if (form.method === "post" && !("again" in form.dataset)) form.dataset.sent = "true";
});

addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

export function isTyping(event) {
  return event.target.closest("input, textarea, select, [contenteditable]") !== null;
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.querySelector("[data-search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});

showTimes(document);
setInterval(() => showTimes(document), 15000);
