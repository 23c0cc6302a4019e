/* Many codes: only the fields of the chosen way are shown. Without it all of them are there. */
(function () {
  "use strict";
  var form = document.querySelector("[data-bulk]");
  if (!form) return;

  function show() {
    var chosen = form.querySelector("input[name=way]:checked");
    form.querySelectorAll("[data-way]").forEach(function (part) {
      part.hidden = !!chosen && part.dataset.way !== chosen.value;
    });
  }

  form.addEventListener("change", function (event) {
    if (event.target.name === "way") show();
  });
  show();
})();
