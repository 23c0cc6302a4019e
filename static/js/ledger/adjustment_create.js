/* form[data-lines]: adds up debits and credits while they are typed and says how far they are apart. The server judges. */
(function () {
  "use strict";

  /* Whole fen of a typed amount; null where it is none. */
  function fen(text) {
    var plain = text.normalize("NFKC").replace(/[¥,\s]/g, "");
    if (plain === "") return 0;
    var match = /^(\d{1,11})(?:\.(\d{0,2}))?$/.exec(plain);
    if (!match) return null;
    return Number(match[1]) * 100 + Number(((match[2] || "") + "00").slice(0, 2));
  }

  function yuan(amount) {
    var whole = String(Math.floor(amount / 100)).replace(/\B(?=(\d{3})+$)/g, ",");
    return "¥" + whole + "." + String(amount % 100).padStart(2, "0");
  }

  function sum(form, side) {
    var total = 0;
    form.querySelectorAll("input[name$='-" + side + "']").forEach(function (field) {
      total += fen(field.value) || 0;
    });
    return total;
  }

  function show(form) {
    var debit = sum(form, "debit");
    var credit = sum(form, "credit");
    form.querySelector("[data-sum-debit]").textContent = yuan(debit);
    form.querySelector("[data-sum-credit]").textContent = yuan(credit);
    var place = form.querySelector("[data-over]");
    var even = debit === credit;
    place.classList.toggle("is-even", even && debit > 0);
    if (even) place.textContent = debit > 0 ? place.dataset.even : "";
    else place.textContent = place.dataset.apart.replace("{amount}", yuan(Math.abs(debit - credit)));
  }

  document.addEventListener("input", function (event) {
    var form = event.target instanceof Element ? event.target.closest("form[data-lines]") : null;
    if (form) show(form);
  });
  document.querySelectorAll("form[data-lines]").forEach(show);
})();
