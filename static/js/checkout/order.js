/* The page of an order. Hooks: [data-watch=url] with data-mark and data-page is loaded anew when the mark changes;
   [data-seconds-left] counts down, and so does [data-code-seconds], at whose end the page is asked for anew; [data-invoke]
   calls WeChat's cashier with the JSON of #invoke and tells the result in [data-told] (data-ok, data-cancel, data-fail);
   [data-offline] shows while the network is away; form[data-once] is sent once; [data-copy] copies. ES5 for old wallets. */
(function () {
  "use strict";
  var watch = document.querySelector("[data-watch]");
  var offline = document.querySelector("[data-offline]");
  var left = document.querySelector("[data-seconds-left]");
  var invoke = document.querySelector("[data-invoke]");
  var told = document.querySelector("[data-told]");
  var PACE = 2000;
  var pace = PACE;
  var timer = null;
  var leaving = false;

  function each(selector, act) {
    Array.prototype.forEach.call(document.querySelectorAll(selector), act);
  }

  each("form[data-once]", function (form) {
    form.addEventListener("submit", function (event) {
      if (form.getAttribute("data-sent")) {
        event.preventDefault();
        return;
      }
      form.setAttribute("data-sent", "1");
      leaving = true;
      setTimeout(function () {
        each("form[data-once] button", function (button) {
          button.disabled = true;
        });
      }, 0);
    });
  });
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) window.location.reload();
  });

  each("[data-copy]", function (button) {
    if (!navigator.clipboard || !window.isSecureContext) return;
    button.hidden = false;
    button.addEventListener("click", function () {
      navigator.clipboard.writeText(button.getAttribute("data-copy")).then(function () {
        button.textContent = button.getAttribute("data-done");
      });
    });
  });

  if (!watch) return;

  function anew() {
    if (leaving) return;
    leaving = true;
    /* No "#pay": a page that is merely loaded anew must not open the cashier again. */
    window.location.replace(watch.getAttribute("data-page") + window.location.search);
  }

  function later(wait) {
    clearTimeout(timer);
    timer = setTimeout(ask, wait);
  }

  function ask() {
    if (leaving) return;
    if (document.hidden) {
      later(pace);
      return;
    }
    var request = new XMLHttpRequest();
    request.open("GET", watch.getAttribute("data-watch"));
    request.timeout = 20000;
    request.onload = function () {
      var answer = null;
      try {
        answer = request.status === 200 ? JSON.parse(request.responseText) : null;
      } catch (error) {
        answer = null;
      }
      if (!answer) {
        lost();
        return;
      }
      if (offline) offline.hidden = true;
      if (answer.mark !== watch.getAttribute("data-mark")) {
        anew();
        return;
      }
      if (left) left.setAttribute("data-seconds-left", String(answer.seconds_left));
      later(pace);
    };
    request.onerror = lost;
    request.ontimeout = lost;
    request.send();
  }

  function lost() {
    if (offline) offline.hidden = false;
    later(pace * 2);
  }

  document.addEventListener("visibilitychange", function () {
    if (!document.hidden) later(0);
  });
  window.addEventListener("online", function () {
    later(0);
  });
  later(pace);

  if (left) {
    setInterval(function () {
      var seconds = Math.max(0, Number(left.getAttribute("data-seconds-left")) - 1);
      left.setAttribute("data-seconds-left", String(seconds));
      left.textContent =
        ("0" + Math.floor(seconds / 60)).slice(-2) + ":" + ("0" + (seconds % 60)).slice(-2);
    }, 1000);
  }

  var life = document.querySelector("[data-code-seconds]");
  if (life) {
    var living = setInterval(function () {
      var seconds = Math.max(0, Number(life.getAttribute("data-code-seconds")) - 1);
      life.setAttribute("data-code-seconds", String(seconds));
      life.textContent = Math.floor(seconds / 60) + ":" + ("0" + (seconds % 60)).slice(-2);
      if (seconds > 0) return;
      clearInterval(living);
      later(0);
    }, 1000);
  }

  function tell(word) {
    if (told) told.textContent = told.getAttribute("data-" + word) || "";
  }

  function cashier() {
    if (typeof window.WeixinJSBridge === "undefined") {
      document.addEventListener("WeixinJSBridgeReady", cashier, { once: true });
      return;
    }
    invoke.disabled = true;
    var parameters = JSON.parse(document.getElementById("invoke").textContent);
    window.WeixinJSBridge.invoke("getBrandWCPayRequest", parameters, function (answer) {
      /* What the page is told proves nothing: the server asks the platform. */
      var word = String((answer && answer.err_msg) || "").split(":")[1];
      if (word === "ok") {
        pace = 1000;
        tell("ok");
        later(0);
        return;
      }
      invoke.disabled = false;
      tell(word === "cancel" ? "cancel" : "fail");
    });
  }

  if (invoke) {
    invoke.addEventListener("click", cashier);
    if (window.location.hash === "#pay") {
      history.replaceState(null, "", window.location.pathname + window.location.search);
      cashier();
    }
  }
})();
