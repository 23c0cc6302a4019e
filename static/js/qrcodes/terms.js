/* The form of a code's terms shows what its choices ask for. Hooks: form[data-terms] with fields marked data-field;
   [data-hours-all] copies Monday's hours. Without this file every field stands there. */
(function () {
  "use strict";
  const form = document.querySelector("form[data-terms]");
  if (!form) return;
  const shows = [
    ["amount", "pricing", function (value) { return value === "fixed"; }],
    ["choices", "pricing", function (value) { return value === "list"; }],
    ["note_label", "note_mode", function (value) { return value !== "none"; }],
    ["starts_at", "when", function (value) { return value === "later"; }],
  ];
  function update() {
    shows.forEach(function (rule) {
      const field = form.querySelector('[data-field="' + rule[0] + '"]');
      const chosen = form.querySelector('[name="' + rule[1] + '"]:checked');
      if (field) field.hidden = !rule[2](chosen ? chosen.value : "");
    });
  }
  form.addEventListener("change", function (event) {
    update();
    const rule = shows.find(function (one) { return one[1] === event.target.name && one[2](event.target.value); });
    const field = rule && form.querySelector('[data-field="' + rule[0] + '"]');
    if (field && rule[0] !== "note_label") field.querySelector("input, textarea").focus();
  });
  const all = form.querySelector("[data-hours-all]");
  if (all) {
    all.addEventListener("click", function () {
      const days = form.querySelectorAll("[data-hours] input");
      days.forEach(function (day) { day.value = days[0].value; });
      days[0].dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
  update();
})();
