/* The page behind a code. Hooks: form[data-once] is sent once; [data-keypad] writes into [data-amount];
   [data-pay-amount] repeats the amount on the button; what was typed is kept over a change of language. Without this file the field is an ordinary one. ES5 for old wallets. */
(function () {
  "use strict";
  var field = document.querySelector("[data-amount]");
  var keypad = document.querySelector("[data-keypad]");
  var shown = document.querySelector("[data-pay-amount]");
  var touch = window.matchMedia && window.matchMedia("(hover: none), (max-width: 40rem)").matches;

  function each(selector, act) {
    Array.prototype.forEach.call(document.querySelectorAll(selector), act);
  }

  /* The browser's back button may bring the page back with its buttons still at rest. */
  each("form[data-once]", function (form) {
    form.addEventListener("submit", function (event) {
      if (form.getAttribute("data-sent")) {
        event.preventDefault();
        return;
      }
      form.setAttribute("data-sent", "1");
      setTimeout(function () {
        each("form[data-once] button[type=submit]", function (button) {
          button.disabled = true;
        });
      }, 0);
    });
  });
  window.addEventListener("pageshow", function () {
    each("form[data-once]", function (form) {
      form.removeAttribute("data-sent");
    });
    each("form[data-once] button[type=submit]", function (button) {
      button.disabled = false;
    });
  });

  /* Another language is another page: what was typed goes with it, once. Some wallets forbid the storage. */
  var KEPT = "pay-typed";
  function typed() {
    return document.querySelectorAll("form[data-pay] input[type=text]");
  }
  each("form.tongue", function (form) {
    form.addEventListener("submit", function () {
      var kept = { page: window.location.pathname };
      Array.prototype.forEach.call(typed(), function (input) {
        kept[input.name] = input.value;
      });
      try {
        sessionStorage.setItem(KEPT, JSON.stringify(kept));
      } catch (error) {
        return;
      }
    });
  });
  try {
    var kept = JSON.parse(sessionStorage.getItem(KEPT) || "null");
    sessionStorage.removeItem(KEPT);
    if (kept && kept.page === window.location.pathname)
      Array.prototype.forEach.call(typed(), function (input) {
        if (!input.value && kept[input.name]) input.value = kept[input.name];
        if (input.name === "note" && input.value) input.parentNode.open = true;
      });
  } catch (error) {
    /* Then the fields are empty. */
  }

  each("input[data-price]", function (input) {
    function repeatPrice() {
      if (input.checked && shown) shown.textContent = " " + input.getAttribute("data-price");
    }
    input.addEventListener("change", repeatPrice);
    repeatPrice();
  });

  if (!field) return;

  function repeat() {
    if (!shown) return;
    var value = field.value.trim();
    shown.textContent = /^\d+(\.\d{1,2})?$/.test(value) && Number(value) > 0 ? " ¥" + value : "";
  }

  function press(key) {
    var value = field.value;
    if (key === "back") {
      value = value.slice(0, -1);
    } else if (key === ".") {
      if (value.indexOf(".") < 0) value = (value || "0") + ".";
    } else if (!/\.\d\d$/.test(value) && value.replace(/\..*/, "").length < 9) {
      value = value === "0" ? key : value + key;
    }
    field.value = value;
    repeat();
  }

  field.addEventListener("input", repeat);
  repeat();
  if (keypad) {
    keypad.hidden = false;
    keypad.addEventListener("click", function (event) {
      var button = event.target.closest ? event.target.closest("[data-key]") : event.target;
      if (button && button.getAttribute("data-key")) press(button.getAttribute("data-key"));
    });
    /* The keypad stands in for the phone's own keyboard. */
    if (touch) field.setAttribute("inputmode", "none");
    else field.focus();
  }
})();
