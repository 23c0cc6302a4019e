/* Lists of differences: the keys j, k, x and Enter. Without it all works by mouse and Tab. picks.js counts what is ticked. */
(function () {
  "use strict";

  function rows() {
    return Array.prototype.slice.call(document.querySelectorAll("[data-diff]"));
  }

  function here() {
    return document.querySelector("[data-diff].is-here");
  }

  function move(step) {
    var all = rows();
    if (!all.length) return;
    var now = here();
    var place = now ? all.indexOf(now) + step : step > 0 ? 0 : all.length - 1;
    var next = all[Math.max(0, Math.min(all.length - 1, place))];
    if (now) now.classList.remove("is-here");
    next.classList.add("is-here");
    next.scrollIntoView({ block: "nearest" });
    var link = next.querySelector("[data-open]");
    if (link) link.focus({ preventScroll: true });
  }

  document.addEventListener("keydown", function (event) {
    var field = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (field instanceof Element && field.matches("input:not([type=checkbox]), select, textarea")) return;
    if (document.querySelector("dialog[open], .modal.show")) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "x" && here()) {
      var box = here().querySelector("[data-pick]");
      // A click, not only a tick: others hear of it.
      if (box) box.click();
    } else return;
    event.preventDefault();
  });
})();
