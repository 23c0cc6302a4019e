/* What every page of the portal can do. All hooks are data attributes, listed in the comments; none is needed to use a page. */
(function () {
  "use strict";
  var texts = document.getElementById("shell-texts");
  var text = function (name) {
    return (texts && texts.dataset[name]) || "";
  };

  /* toast(text): one quiet line at the lower edge, spoken by screen readers. */
  function toast(message) {
    var box = document.getElementById("toasts");
    if (!box || !message) return;
    var line = document.createElement("div");
    line.className = "toast-line";
    line.textContent = message;
    box.append(line);
    setTimeout(function () {
      line.remove();
    }, 5000);
  }

  function copy(value) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(value);
    return new Promise(function (resolve, reject) {
      var area = document.createElement("textarea");
      area.value = value;
      area.setAttribute("readonly", "");
      area.className = "visually-hidden";
      document.body.append(area);
      area.select();
      var done = document.execCommand("copy");
      area.remove();
      if (done) resolve();
      else reject(new Error("copy refused"));
    });
  }

  document.addEventListener("click", function (event) {
    var target = event.target instanceof Element ? event.target : null;
    if (!target) return;

    /* data-copy="value": copies it and shows a tick */
    var copier = target.closest("[data-copy]");
    if (copier) {
      event.preventDefault();
      copy(copier.dataset.copy).then(
        function () {
          copier.classList.add("is-done");
          toast(text("copied"));
          setTimeout(function () {
            copier.classList.remove("is-done");
          }, 2000);
        },
        function () {
          toast(text("copyFailed"));
        }
      );
      return;
    }

    /* data-theme-set="light|dark|auto" */
    var themer = target.closest("[data-theme-set]");
    if (themer && window.portalTheme) {
      window.portalTheme.set(themer.dataset.themeSet);
      return;
    }

    /* data-print: prints the page */
    if (target.closest("[data-print]")) {
      window.print();
      return;
    }

    /* data-dismiss: removes the nearest [data-dismissible] */
    if (target.closest("[data-dismiss]")) {
      var note = target.closest("[data-dismissible]");
      if (note) note.remove();
      return;
    }

    /* tr data-row-href="url": a click anywhere on the row follows it; its own links and buttons keep working */
    var row = target.closest("[data-row-href]");
    if (row && !target.closest("a, button, input, label, select, summary") && !String(window.getSelection())) {
      if (event.ctrlKey || event.metaKey) window.open(row.dataset.rowHref, "_blank", "noopener");
      else window.location.assign(row.dataset.rowHref);
    }
  });

  document.addEventListener("auxclick", function (event) {
    var row = event.target instanceof Element ? event.target.closest("[data-row-href]") : null;
    if (row && event.button === 1 && !event.target.closest("a, button")) {
      window.open(row.dataset.rowHref, "_blank", "noopener");
    }
  });

  /* "/" puts the caret into the search box */
  document.addEventListener("keydown", function (event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]")) return;
    var box = document.querySelector("[data-search]");
    if (box) {
      event.preventDefault();
      box.focus();
      box.select();
    }
  });

  /* select data-autosubmit: sends its form at a change */
  document.addEventListener("change", function (event) {
    var field = event.target instanceof Element ? event.target.closest("[data-autosubmit]") : null;
    if (field && field.form) field.form.requestSubmit();
  });

  /* form.filter-bar: on a phone the fields rest behind one button, so that the rows are seen first */
  document.querySelectorAll("form.filter-bar").forEach(function (form) {
    var button = document.createElement("button");
    button.type = "button";
    button.className = "btn filter-toggle";
    var sign = form.querySelector("button[type=submit] .icon");
    if (sign) button.append(sign.cloneNode(true));
    button.append(document.body.dataset.textFilters);
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", function () {
      var open = form.classList.toggle("is-open");
      button.setAttribute("aria-expanded", String(open));
    });
    form.classList.add("is-folding");
    form.prepend(button);
  });

  /* A POST form is sent once: its buttons rest until the page comes back. htmx forms look after themselves.
     form data-repeatable: leaves the buttons alone (downloads). */
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (event.defaultPrevented || form.method !== "post" || "repeatable" in form.dataset) return;
    if (form.matches("[hx-post], [hx-put], [hx-patch], [hx-delete]")) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    form.dataset.clean = "1";
    setTimeout(function () {
      form.querySelectorAll("button[type=submit], button:not([type])").forEach(function (button) {
        button.classList.add("disabled");
        button.setAttribute("aria-disabled", "true");
      });
    }, 0);
  });
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) {
      delete form.dataset.sent;
      form.querySelectorAll("[aria-disabled=true]").forEach(function (button) {
        button.classList.remove("disabled");
        button.removeAttribute("aria-disabled");
      });
    });
  });

  /* form data-warn-unsaved: asks before typed words are lost */
  document.addEventListener("input", function (event) {
    var form = event.target instanceof Element ? event.target.closest("form[data-warn-unsaved]") : null;
    if (form) form.dataset.dirty = "1";
  });
  window.addEventListener("beforeunload", function (event) {
    if (document.querySelector("form[data-warn-unsaved][data-dirty]:not([data-clean])")) event.preventDefault();
  });

  /* time[data-ago]: "5 minutes ago" keeps itself fresh, in the page's language */
  var relative = window.Intl && Intl.RelativeTimeFormat ? new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always" }) : null;
  function refreshAges() {
    if (!relative) return;
    document.querySelectorAll("time[data-ago]").forEach(function (element) {
      var seconds = (Date.parse(element.dateTime) - Date.now()) / 1000;
      var size = Math.abs(seconds);
      if (size < 45 || size >= 30 * 86400 || Number.isNaN(seconds)) return;
      var step = size < 3570 ? [60, "minute"] : size < 86400 ? [3600, "hour"] : [86400, "day"];
      var count = Math.trunc(seconds / step[0]) || Math.sign(seconds);
      element.textContent = relative.format(count, step[1]).replace(/(\d)(?=[\u4e00-\u9fff])/g, "$1 ");
    });
  }
  setInterval(refreshAges, 30000);

  /* data-bs-toggle="tooltip": Tabler starts those present at load; these came later */
  function startTooltips(root) {
    if (!window.tabler) return;
    root.querySelectorAll('[data-bs-toggle="tooltip"]').forEach(function (element) {
      window.tabler.Tooltip.getOrCreateInstance(element);
    });
  }
  document.addEventListener("htmx:afterSettle", function (event) {
    startTooltips(event.target);
  });

  /* a[data-confirm]: its confirmation page is shown in a dialog; without JavaScript, or when that fails, the page itself opens.
     The page marks the part to show with data-confirm-body. */
  document.addEventListener("click", function (event) {
    var link = event.target instanceof Element ? event.target.closest("a[data-confirm]") : null;
    var dialog = document.getElementById("confirm-dialog");
    if (!link || !dialog || !window.tabler || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    fetch(link.href, { headers: { "X-Requested-With": "XMLHttpRequest" }, redirect: "error" })
      .then(function (response) {
        if (!response.ok) throw new Error(String(response.status));
        return response.text();
      })
      .then(function (html) {
        var body = new DOMParser().parseFromString(html, "text/html").querySelector("[data-confirm-body]");
        if (!body) throw new Error("no confirmation in the page");
        dialog.querySelector(".modal-content").replaceChildren(document.importNode(body, true));
        var title = dialog.querySelector("h1, h2");
        if (title) dialog.setAttribute("aria-label", title.textContent.trim());
        if (window.htmx) window.htmx.process(dialog);
        window.tabler.Modal.getOrCreateInstance(dialog).show();
      })
      .catch(function () {
        window.location.assign(link.href);
      });
  });
  document.addEventListener("click", function (event) {
    var cancel = event.target instanceof Element ? event.target.closest("#confirm-dialog [data-cancel]") : null;
    if (cancel && window.tabler) {
      event.preventDefault();
      window.tabler.Modal.getOrCreateInstance(document.getElementById("confirm-dialog")).hide();
    }
  });

  /* A fragment that could not be loaded is said, never swallowed. */
  document.addEventListener("htmx:sendError", function () {
    toast(text("offline"));
  });
  document.addEventListener("htmx:responseError", function (event) {
    toast(event.detail.xhr.status === 403 ? text("forbidden") : text("failed"));
  });

  /* The list of errors takes the focus, so that it is read first. */
  var summary = document.querySelector("[data-error-summary]");
  if (summary) summary.focus();

  window.portal = { toast: toast, copy: copy, refreshAges: refreshAges };
})();
