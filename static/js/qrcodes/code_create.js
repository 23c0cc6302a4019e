/* The amount is asked only where it is fixed. Without this script the field stands there always and is optional. */
(function () {
  "use strict";
  const form = document.querySelector("form[data-pricing]");
  const field = form && form.querySelector('[data-field="amount"]');
  if (!field) return;
  const show = function () {
    const fixed = form.querySelector('[name="pricing"][value="fixed"]');
    field.hidden = !(fixed && fixed.checked);
  };
  form.addEventListener("change", function (event) {
    if (event.target.name !== "pricing") return;
    show();
    if (!field.hidden) field.querySelector("input").focus();
  });
  show();
})();
