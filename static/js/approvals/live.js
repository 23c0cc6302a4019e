/* Parts of a page that follow the merchant's events: [data-live="url of the stream"], with
   data-live-kinds="refund approval" and, where only one thing matters, data-live-id="5".
   The part fetches itself again by its own hx-get (hx-trigger="live"); nothing is changed under a person who types in it.
   [data-live-note] is shown while the connection is lost. Without this script the page is as it was when it was opened. */
(function () {
  "use strict";
  const first = document.querySelector("[data-live]");
  if (!first || !window.EventSource || !window.htmx) return;
  const waiting = new Map();

  function typing(part) {
    const field = document.activeElement;
    if (field && part.contains(field) && field.matches("input:not([type=hidden]), textarea, select")) return true;
    return Array.from(part.querySelectorAll("input[type=text], textarea")).some(function (input) {
      return input.value !== input.defaultValue;
    });
  }

  function refresh(part) {
    if (document.contains(part) && !typing(part)) window.htmx.trigger(part, "live");
  }

  function heard(kind, id) {
    document.querySelectorAll("[data-live]").forEach(function (part) {
      const kinds = (part.dataset.liveKinds || "").split(" ");
      if (kind && !kinds.includes(kind)) return;
      if (kind && part.dataset.liveId && kind === kinds[0] && String(id) !== part.dataset.liveId) return;
      /* Several events in a row lead to one look. */
      clearTimeout(waiting.get(part));
      waiting.set(part, setTimeout(refresh, 250, part));
    });
  }

  const stream = new EventSource(first.dataset.live);
  let lost = false;
  ["payment", "refund", "approval", "alert"].forEach(function (kind) {
    stream.addEventListener(kind, function (event) {
      heard(kind, JSON.parse(event.data).id);
    });
  });
  stream.addEventListener("refresh", function () {
    heard("", 0);
  });
  function show() {
    document.querySelectorAll("[data-live-note]").forEach(function (note) {
      note.hidden = !lost;
    });
  }
  stream.addEventListener("error", function () {
    lost = true;
    show();
  });
  stream.addEventListener("open", function () {
    /* What happened before we listened is unknown, the first time as well: the page may be older. Look again. */
    heard("", 0);
    lost = false;
    show();
  });
  window.addEventListener("pagehide", function () {
    stream.close();
  });
})();
