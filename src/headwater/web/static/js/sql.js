// Ctrl+Enter runs the question; while it runs, Cancel stops waiting, and the server then stops asking.

const box = document.getElementById("sql");
const stop = document.getElementById("stop");

box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  box.form.requestSubmit();
});

box.form.addEventListener("submit", (event) => {
  if (event.submitter?.name !== "save") stop.hidden = false;
});

stop.addEventListener("click", () => {
  window.stop();
  stop.hidden = true;
  document.dispatchEvent(new Event("stopped"));
});
