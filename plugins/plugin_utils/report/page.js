// Copyright (c) 2026, dgxspark.suite contributors
// SPDX-License-Identifier: GPL-3.0-or-later
// The address holds what is chosen, so that a view can be shared: #node=spark1&status=drift
const form = document.querySelector("form");
const none = document.querySelector(".none");
const fields = [...form.elements].map((field) => field.name);
function show() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  let shown = 0;
  for (const name of fields) {
    const value = wanted.get(name) || "";
    const known = name === "text" || [...form[name].options].some((option) => option.value === value);
    if (form[name].value !== value) form[name].value = known ? value : "";
  }
  for (const article of document.querySelectorAll("article")) {
    article.hidden = fields.some((name) => {
      const value = form[name].value;
      if (name === "text") return !article.textContent.toLowerCase().includes(value.toLowerCase());
      if (name === "status" && value === "") return article.dataset.quiet === "yes";
      return value !== "" && value !== "all" && !article.dataset[name].split("|").includes(value);
    });
    shown += article.hidden ? 0 : 1;
  }
  none.hidden = shown > 0;
  document.body.dataset.shown = String(shown);
}
form.addEventListener("input", () => {
  const chosen = fields.filter((name) => form[name].value !== "");
  location.hash = chosen.map((name) => name + "=" + encodeURIComponent(form[name].value)).join("&");
  show();
});
form.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", show);
show();
