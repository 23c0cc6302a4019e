/* Runs before the first paint, so that a dark page never flashes white. Keeps one word in localStorage: light, dark or auto. */
(function () {
  "use strict";
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  function stored() {
    try {
      return localStorage.getItem("theme") || "auto";
    } catch (error) {
      return "auto"; // storage may be forbidden; then the system decides
    }
  }
  function apply() {
    var choice = stored();
    var theme = choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
    document.documentElement.setAttribute("data-bs-theme", theme);
    document.documentElement.setAttribute("data-theme-choice", choice);
  }
  apply();
  dark.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  window.portalTheme = {
    get: stored,
    set: function (choice) {
      try {
        localStorage.setItem("theme", choice);
      } catch (error) {
        /* nothing to keep it in: it holds for this page */
      }
      apply();
      document.dispatchEvent(new CustomEvent("portal:theme"));
    },
  };
})();
