// Small comforts of the wallet's pages; everything works without them.
(function () {
  "use strict";

  for (const form of document.querySelectorAll("form[data-autosubmit]")) {
    form.classList.add("is-automatic");
    form.addEventListener("change", () => form.requestSubmit());
  }
  // A second press must not pay twice; the books would refuse it, but the page should not offer it.
  for (const form of document.querySelectorAll("form")) {
    form.addEventListener("submit", () => {
      window.setTimeout(() => {
        for (const button of form.querySelectorAll("button")) button.disabled = true;
      }, 0);
    });
  }
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
  });
})();
