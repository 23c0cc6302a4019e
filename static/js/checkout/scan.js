/* The page behind a code. Hooks: form[data-once] is sent once; [data-keypad] writes into [data-amount];
   [data-pay-amount] repeats the amount on the button. Without this file the field is an ordinary one. ES5 for old wallets. */
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
