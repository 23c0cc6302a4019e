/* The desk. #desk holds the keys ([data-desk-pad]) or an order ([data-stage]); htmx swaps them, so that the page and its
   right to sound stay. [data-desk-keys]: the keys of our own; [data-desk-amount]: what they fill.
   [data-desk-scan] opens [data-desk-sheet], whose form is the till's; a scanner's burst of figures goes there by itself.
   [data-desk-watch=url] is fetched at each event of [data-stream] and every three seconds, and shown when data-mark changed.
   [data-seconds] counts down (till.js). [data-live-note] shows while nothing can be reached. */
(function () {
  "use strict";
  var FAST = 150;
  var SHORTEST = 16;
  var EVERY = 3000;
  var root = document.getElementById("desk");
  var calls = document.querySelector("[data-calls]");
  var sheet = document.querySelector("[data-desk-sheet]");
  var note = document.querySelector("[data-live-note]");
  if (!root) return;
  var scan = sheet.querySelector("[data-desk-scan-form]");
  var code = scan.querySelector("[data-till-code]");
  var timer = 0;
  var failed = 0;

  function pad() {
    return root.querySelector("[data-desk-pad]");
  }
  function field() {
    return root.querySelector("[data-desk-amount]");
  }

  /* Keys */
  function press(key) {
    var box = field();
    if (!box) return;
    var text = box.value.trim();
    if (key === "back") text = text.slice(0, -1);
    else if (key === ".") text = text.indexOf(".") < 0 ? (text || "0") + "." : text;
    else {
      var point = text.indexOf(".");
      if (point >= 0 ? text.length - point > 2 : text.length >= 7) return;
      text = (text === "0" ? "" : text) + key;
    }
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  document.addEventListener("click", function (event) {
    var target = event.target instanceof Element ? event.target : null;
    if (!target) return;
    var key = target.closest("[data-desk-keys] [data-key]");
    if (key) {
      press(key.dataset.key);
      if (navigator.vibrate) navigator.vibrate(8);
      return;
    }
    if (target.closest("[data-desk-scan]")) {
      if (!ready()) return;
      event.preventDefault();
      openSheet();
    }
    if (target.closest("[data-desk-back]")) closeSheet();
  });

  /* Whether there is an amount; without one the form itself says what is missing. */
  function ready() {
    var box = field();
    return Boolean(box && /[1-9]/.test(box.value));
  }

  function openSheet() {
    var form = pad();
    ["amount", "store", "terminal", "nonce"].forEach(function (name) {
      var from = form.elements[name];
      scan.elements[name].value = from ? from.value : "";
    });
    sheet.querySelector("[data-desk-sheet-amount]").textContent = "¥" + Number(field().value).toFixed(2);
    root.hidden = true;
    sheet.hidden = false;
    if (code.value) {
      scan.requestSubmit();
      return;
    }
    code.focus();
    var camera = scan.querySelector("[data-till-camera]");
    if (camera && !camera.hidden && window.matchMedia("(pointer: coarse)").matches) camera.click();
  }

  function closeSheet() {
    var off = scan.querySelector("[data-till-camera-off]");
    if (off) off.click();
    code.value = "";
    sheet.hidden = true;
    root.hidden = false;
    if (field()) field().focus();
  }

  /* A keyboard, and a scanner: a keyboard that types faster than people do. */
  var burst = "";
  var before = "";
  var lastKey = 0;
  document.addEventListener("keydown", function (event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey || root.hidden) return;
    var box = field();
    var target = event.target;
    var next = root.querySelector("[data-desk-next]");
    var typing = target instanceof Element && target.closest("input, textarea, select, [contenteditable]");
    if (!box || (typing && typing !== box)) {
      if (!typing && next && event.key === "Enter" && target === document.body) next.click();
      return;
    }
    if (event.key === "Enter") {
      if (burst.length >= SHORTEST && event.timeStamp - lastKey <= FAST * 2) {
        event.preventDefault();
        box.value = before;
        /* A code without an amount is not kept: the next amount may be another customer's. */
        if (ready() && pad().querySelector("[data-desk-scan]")) {
          code.value = burst;
          openSheet();
        } else {
          box.focus();
          if (window.portal) window.portal.toast(sheet.dataset.amountFirst);
        }
        burst = "";
        return;
      }
      burst = "";
      if (target === document.body || target.closest("[data-desk-keys]")) {
        event.preventDefault();
        pad().requestSubmit();
      }
      return;
    }
    if (/^[0-9]$/.test(event.key)) {
      if (!burst || event.timeStamp - lastKey > FAST) {
        burst = "";
        before = box.value;
      }
      burst += event.key;
      lastKey = event.timeStamp;
    } else burst = "";
    var whole = typing && box.selectionStart === 0 && box.selectionEnd === box.value.length && box.value;
    if (/^[0-9.]$/.test(event.key)) {
      event.preventDefault();
      if (whole) box.value = "";
      press(event.key);
    } else if (!typing && event.key === "Backspace") {
      event.preventDefault();
      press("back");
    }
  });

  /* Live */
  function watch() {
    return root.querySelector("[data-desk-watch]");
  }

  function reached(yes) {
    failed = yes ? 0 : failed + 1;
    if (note) note.hidden = failed < 2;
  }

  function look() {
    var shown = watch();
    if (!shown) return;
    var address = shown.dataset.deskWatch;
    fetch(address, { headers: { "HX-Request": "true" } })
      .then(function (response) {
        if (response.status >= 500) throw new Error("no answer");
        if (response.redirected || !response.ok) {
          /* Logged out, or no longer to be seen: the page itself tells. */
          window.location.assign(address);
          return null;
        }
        return response.text();
      })
      .then(function (html) {
        reached(true);
        var now = watch();
        if (html === null || !now || now.dataset.deskWatch !== address) return;
        var box = document.createElement("template");
        box.innerHTML = html;
        var fresh = box.content.querySelector("[data-stage]");
        if (!fresh) return;
        if (fresh.dataset.mark === now.dataset.mark) {
          var left = now.querySelector("[data-seconds]");
          var told = fresh.querySelector("[data-seconds]");
          if (left && told) left.dataset.seconds = told.dataset.seconds;
          return;
        }
        root.replaceChildren(box.content);
        if (window.htmx) window.htmx.process(root);
        settle();
      })
      .catch(function () {
        reached(false);
      });
  }

  function all() {
    timer = 0;
    look();
    document.dispatchEvent(new CustomEvent("desk:listen"));
  }
  function soon() {
    if (!timer) timer = setTimeout(all, 60);
  }

  function connect() {
    if (!window.EventSource || !calls.dataset.stream) return;
    var source = new EventSource(calls.dataset.stream);
    source.addEventListener("payment", soon);
    source.addEventListener("refresh", soon);
    source.onopen = soon;
    source.onerror = function () {
      /* A browser gives up after a refusal; a session that was renewed may listen again. */
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 10000);
    };
    window.addEventListener("pagehide", function () {
      source.close();
    });
  }

  document.addEventListener("desk:called", function (event) {
    reached(event.detail);
  });
  window.addEventListener("online", soon);
  document.addEventListener("visibilitychange", function () {
    if (!document.hidden) soon();
  });
  setInterval(function () {
    if (watch() || failed) all();
  }, EVERY);

  function settle() {
    window.scrollTo(0, 0);
    var keys = root.querySelector("[data-desk-keys]");
    var box = field();
    if (keys && box) {
      keys.hidden = false;
      /* Our own keys are large enough; the phone's keyboard would cover them. */
      box.setAttribute("inputmode", "none");
      box.focus({ preventScroll: true });
    }
    var next = root.querySelector("[data-desk-next]");
    if (next) next.focus({ preventScroll: true });
    /* An Enter too many must not say yes to an amount that was asked about. */
    var correct = root.querySelector("[data-desk-correct]");
    if (correct) correct.focus({ preventScroll: true });
    var titled = root.querySelector("[data-title]");
    var parts = document.title.split(" · ");
    if (titled) document.title = [titled.dataset.title].concat(parts.slice(-2)).join(" · ");
  }

  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.target !== root) return;
    code.value = "";
    settle();
    soon();
  });
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) window.location.reload();
  });
  settle();
  connect();
})();
