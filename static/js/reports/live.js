/* Keeps a page fresh by server-sent events.
   [data-live="/m/<slug>/live"]  the part that is fetched again, as a fragment of its own page
   data-live-kinds="payment …"   which events matter; data-live-ids="payment:5 …" narrows payments to these
   data-live-url                 what to fetch (default: the present address)
   data-live-every="10"          also look every so many seconds
   [data-live-older="url"]       inside: an older page, which must not move; url is the first page
   [data-live-hold]              a form; while somebody types in it nothing moves
   [data-live-pill]              a button "n new" shown while paused; [data-live-note]: the connection is lost */
(function () {
  "use strict";
  var root = document.querySelector("[data-live]");
  if (!root || !window.htmx) return;
  var kinds = (root.dataset.liveKinds || "payment").split(" ");
  var pill;
  var note;
  var waiting = new Set();
  var timer = 0;
  var noteTimer = 0;
  var last = 0;
  var lost = false;
  var known = null;
  var fresh = new Map();
  var unfolded = [];

  /* A step back in the history puts a whole new body in place; the script stays. */
  function look() {
    root = document.querySelector("[data-live]") || root;
    pill = document.querySelector("[data-live-pill]");
    note = document.querySelector("[data-live-note]");
  }

  function paused() {
    if (root.querySelector("[data-live-older], [data-error-summary]") || document.querySelector(".modal.show")) return true;
    var selection = window.getSelection();
    if (selection && !selection.isCollapsed && root.contains(selection.anchorNode)) return true;
    var active = document.activeElement;
    return Boolean(active && active.matches("input:not([type=hidden]), textarea") && active.closest("[data-live-hold], [data-live]"));
  }

  function showPill() {
    if (!pill) return;
    pill.hidden = waiting.size === 0;
    pill.textContent = waiting.size === 1 ? pill.dataset.one : pill.dataset.many.replace("{n}", String(waiting.size));
  }

  function address() {
    return root.dataset.liveUrl || window.location.pathname + window.location.search;
  }

  function refresh() {
    timer = 0;
    if (document.hidden) return;
    if (paused()) {
      showPill();
      return;
    }
    last = Date.now();
    waiting.clear();
    showPill();
    known = new Set(
      Array.prototype.map.call(root.querySelectorAll("[data-key]"), function (row) {
        return row.dataset.key;
      })
    );
    unfolded = Array.prototype.map.call(root.querySelectorAll("details[open][id]"), function (fold) {
      return fold.id;
    });
    window.htmx.ajax("GET", address(), {
      target: root,
      swap: "innerHTML",
      headers: { "X-Live": address() },
    });
  }

  function soon() {
    if (!timer) timer = setTimeout(refresh, Math.max(120, last + 800 - Date.now()));
  }

  function matters(kind, id) {
    if (kind !== "payment" || !root.dataset.liveIds) return true;
    return root.dataset.liveIds.split(" ").indexOf("payment:" + id) >= 0;
  }

  function heard(event) {
    var data = JSON.parse(event.data || "{}");
    if (data.kind && !matters(data.kind, data.id)) return;
    waiting.add((data.kind || "any") + ":" + (data.id || ""));
    soon();
  }

  function connect() {
    if (!window.EventSource) return;
    var source = new EventSource(root.dataset.live);
    kinds.forEach(function (kind) {
      source.addEventListener(kind, heard);
    });
    source.addEventListener("refresh", function () {
      soon();
    });
    source.onopen = function () {
      clearTimeout(noteTimer);
      noteTimer = 0;
      if (note) note.hidden = true;
      /* A list hears of the next thing; a page about one thing may have missed its only one while it was loading. */
      if (lost || root.dataset.liveIds) soon();
      lost = false;
    };
    source.onerror = function () {
      lost = true;
      if (!noteTimer)
        noteTimer = setTimeout(function () {
          if (note) note.hidden = false;
        }, 3000);
      /* A browser gives up after a refusal; a session that was renewed may listen again. */
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 10000);
    };
    window.addEventListener("pagehide", function () {
      source.close();
    });
  }

  /* Somebody may choose another filter while an answer is under way: rows of the old address must not come in its place. */
  document.addEventListener("htmx:beforeSwap", function (event) {
    var asked = event.detail.requestConfig && event.detail.requestConfig.headers["X-Live"];
    if (!asked || asked === address()) return;
    event.detail.shouldSwap = false;
    known = null;
    soon();
  });

  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.target !== root) return;
    unfolded.forEach(function (id) {
      var fold = document.getElementById(id);
      if (fold) fold.open = true;
    });
    unfolded = [];
    if (known) {
      root.querySelectorAll("[data-key]").forEach(function (row) {
        var key = row.dataset.key;
        if (!known.has(key)) fresh.set(key, Date.now() + 2500);
        if ((fresh.get(key) || 0) > Date.now()) row.classList.add("row-new");
      });
      known = null;
    }
    if (window.portal) window.portal.refreshAges();
  });

  ["selectionchange", "focusout", "visibilitychange"].forEach(function (name) {
    document.addEventListener(name, function () {
      if (waiting.size && !document.hidden && !timer) setTimeout(function () {
        if (waiting.size && !paused()) soon();
      }, 400);
    });
  });

  document.addEventListener("click", function (event) {
    if (!event.target.closest("[data-live-pill]")) return;
    var older = root.querySelector("[data-live-older]");
    if (older) {
      window.location.assign(older.dataset.liveOlder);
      return;
    }
    if (window.getSelection()) window.getSelection().removeAllRanges();
    if (document.activeElement) document.activeElement.blur();
    refresh();
  });

  if (root.dataset.liveEvery)
    setInterval(function () {
      if (root.dataset.liveEvery) soon();
    }, Number(root.dataset.liveEvery) * 1000);

  look();
  connect();
})();
