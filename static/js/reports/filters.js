/* Filter forms: an address carries only what narrows the view, and the two days show when they are wanted. */
(function () {
  "use strict";

  document.addEventListener("htmx:configRequest", function (event) {
    var source = event.detail.elt.closest("form[data-filters]");
    if (!source) return;
    Object.keys(event.detail.parameters).forEach(function (name) {
      if (event.detail.parameters[name] === "") delete event.detail.parameters[name];
    });
  });

  /* A download without htmx: leave empty fields out of the address too. */
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (!form.matches("form[data-filters]") || form.hasAttribute("hx-get")) return;
    var emptied = Array.prototype.filter.call(form.elements, function (field) {
      return field.name && field.value === "" && !field.disabled;
    });
    emptied.forEach(function (field) {
      field.disabled = true;
    });
    setTimeout(function () {
      emptied.forEach(function (field) {
        field.disabled = false;
      });
    }, 0);
  });

  function show(form) {
    var period = form.elements.period;
    if (!period) return;
    var dated = form.elements.date_from.value || form.elements.date_to.value;
    if (period.value === "" && dated) period.value = "custom";
    form.querySelectorAll('[data-field="date_from"], [data-field="date_to"]').forEach(function (field) {
      field.hidden = period.value !== "custom";
    });
  }

  document.addEventListener("change", function (event) {
    var form = event.target.form;
    if (event.target.name !== "period" || !form || !form.matches("[data-filters]")) return;
    show(form);
    if (event.target.value === "custom") {
      form.elements.date_from.focus();
      return;
    }
    form.elements.date_from.value = "";
    form.elements.date_to.value = "";
    if (form.hasAttribute("hx-get")) form.requestSubmit();
  });

  document.querySelectorAll("form[data-filters]").forEach(show);
})();
