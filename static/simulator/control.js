// Copy buttons of the control desk; without JavaScript the text can be selected by hand.
(function () {
  "use strict";

  for (const button of document.querySelectorAll("button[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    if (!source) continue;
    const words = button.innerHTML;
    button.hidden = false;
    button.addEventListener("click", async () => {
      let copied = true;
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch {
        // No clipboard for this page: select it, so that the person's own keys copy it.
        window.getSelection().selectAllChildren(source);
        copied = document.execCommand("copy");
      }
      if (!copied) return;
      button.textContent = button.dataset.done;
      window.setTimeout(() => {
        button.innerHTML = words;
      }, 1500);
    });
  }
  for (const form of document.querySelectorAll("form.filters")) {
    for (const select of form.querySelectorAll("select, input[type=date]")) {
      select.addEventListener("change", () => form.requestSubmit());
    }
  }
})();
