// Ctrl+Enter runs the question.

const box = document.getElementById("sql");

box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  box.form.requestSubmit();
});
