/* The page that leads to a platform by a form: form[data-leave] is sent by itself, unless the payer came back to it. ES5 for
   old wallets; without this file the button does it. */
(function () {
  "use strict";
  var form = document.querySelector("form[data-leave]");
  if (!form) return;
  var entries =
    window.performance && performance.getEntriesByType
      ? performance.getEntriesByType("navigation")
      : [];
  var back = entries.length && entries[0].type === "back_forward";
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) back = true;
  });
  if (!back) HTMLFormElement.prototype.submit.call(form);
})();
