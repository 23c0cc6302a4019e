/* button data-fill="id of a field" data-value="text": writes the text into the field. Without this script people type. */
(function () {
  "use strict";
  document.addEventListener("click", function (event) {
    const button = event.target instanceof Element ? event.target.closest("button[data-fill]") : null;
    const field = button && document.getElementById(button.dataset.fill);
    if (!field) return;
    field.value = button.dataset.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
  });
})();
