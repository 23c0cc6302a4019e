/* Lists with boxes: counting what is ticked, one tick for the page, one for all. Without it the boxes work one by one. */
(function () {
  "use strict";

  function boxes() {
    return Array.prototype.slice.call(document.querySelectorAll("[data-pick]"));
  }

  function count() {
    var place = document.querySelector("[data-pick-count]");
    if (!place) return;
    var every = document.querySelector("[data-pick-all]");
    var page = document.querySelector("[data-pick-page]");
    var all = boxes();
    var chosen = all.filter(function (box) {
      return box.checked;
    }).length;
    place.textContent = chosen && !(every && every.checked) ? place.dataset.words.replace("{count}", String(chosen)) : "";
    if (page) {
      page.checked = !!chosen && chosen === all.length;
      page.indeterminate = chosen > 0 && chosen < all.length;
    }
  }

  document.addEventListener("change", function (event) {
    var field = event.target;
    if (!(field instanceof Element)) return;
    if (field.matches("[data-pick-all]")) {
      boxes().forEach(function (box) {
        box.checked = field.checked;
        box.disabled = field.checked;
      });
    }
    if (field.matches("[data-pick-page]")) {
      boxes().forEach(function (box) {
        box.checked = field.checked;
      });
    }
    if (field.matches("[data-pick], [data-pick-all], [data-pick-page]")) count();
  });
  document.addEventListener("htmx:afterSwap", count);
  window.addEventListener("pageshow", count);
})();
