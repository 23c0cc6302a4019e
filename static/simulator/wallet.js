// Small comforts of the wallet's pages; everything works without them.
(function () {
  "use strict";

  for (const form of document.querySelectorAll("form[data-autosubmit]")) {
    form.classList.add("is-automatic");
    form.addEventListener("change", () => form.requestSubmit());
  }
  // A page that leads back to the shop goes there by itself after a moment.
  for (const form of document.querySelectorAll("form[data-autopost]")) {
    window.setTimeout(() => form.requestSubmit(), 1500);
  }
  // The payer's code: look whether a till has taken it, and show a fresh one when its time is over.
  for (const shown of document.querySelectorAll("[data-watch]")) {
    const step = shown.dataset.step;
    const counter = shown.querySelector("[data-countdown]");
    let left = counter ? Number(counter.dataset.countdown) : 0;
    const look = async () => {
      try {
        const answer = await fetch(shown.dataset.watch, { cache: "no-store" });
        const now = (await answer.json()).step;
        if (step === "show" && now === "expired") window.location.replace(shown.dataset.again);
        else if (now !== step) window.location.reload();
      } catch {
        // The simulator is being restarted: ask again.
      }
    };
    if (step === "show" || step === "waiting") window.setInterval(look, 1500);
    if (counter) {
      window.setInterval(() => {
        left = Math.max(0, left - 1);
        counter.textContent = String(left);
      }, 1000);
    }
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
