/* The till.
   form[data-till]: base.js sends it once. [data-till-amount]: Enter goes on to the code; what a scanner types here is moved there.
   [data-till-code]: full-width digits become plain ones; [data-till-hint] names the wallet, by #till-wallets.
   [data-till-camera]: scans with the camera where the browser can read codes by itself (BarcodeDetector).
   [data-seconds]: counts down. [data-till-focus]: has the keyboard when it comes. [data-till-over]: nothing more to come. */
(function () {
  "use strict";
  var FAST = 150;
  var SHORTEST = 16;
  var source = document.getElementById("till-wallets");
  var wallets = source ? JSON.parse(source.textContent) : {};
  var root = document.getElementById("charge");

  function plain(text) {
    return text
      .replace(/[\uff10-\uff19]/g, function (digit) {
        return String.fromCharCode(digit.charCodeAt(0) - 0xfee0);
      })
      .replace(/[\s\-\u2010\u2013]+/g, "");
  }

  function walletOf(digits) {
    return Object.keys(wallets).find(function (name) {
      return new RegExp("^(?:" + wallets[name].pattern + ")$").test(digits);
    });
  }

  function hint(field) {
    var line = field.form.querySelector("[data-till-hint]");
    if (!line) return;
    var digits = plain(field.value);
    var wallet = walletOf(digits);
    line.dataset.wallet = wallet || "";
    line.textContent = wallet ? wallets[wallet].name : digits.length >= SHORTEST ? line.dataset.none : "";
  }

  function send(form) {
    if (form.requestSubmit) form.requestSubmit();
    else form.submit();
  }

  document.addEventListener("input", function (event) {
    var field = event.target;
    if (!field.matches || !field.matches("[data-till-code]")) return;
    if (!event.isComposing && /[\uff10-\uff19]/.test(field.value)) field.value = plain(field.value);
    hint(field);
  });

  document.addEventListener("submit", function (event) {
    if (event.target.matches("[data-till]")) stopCamera();
  });
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) window.location.reload();
  });

  /* A scanner is a keyboard that types faster than people do. */
  var burst = "";
  var before = "";
  var lastKey = 0;
  document.addEventListener("keydown", function (event) {
    var field = event.target;
    if (!field.matches || !field.matches("[data-till-amount]") || event.isComposing) return;
    var code = field.form.querySelector("[data-till-code]");
    if (event.key === "Enter") {
      event.preventDefault();
      if (burst.length >= SHORTEST && event.timeStamp - lastKey <= FAST * 2) {
        field.value = before;
        code.value = burst;
        hint(code);
        if (before) send(field.form);
        else field.focus();
      } else code.focus();
      burst = "";
      return;
    }
    if (!/^[0-9]$/.test(event.key)) {
      burst = "";
      return;
    }
    if (!burst || event.timeStamp - lastKey > FAST) {
      burst = "";
      before = field.value;
    }
    burst += event.key;
    lastKey = event.timeStamp;
  });

  /* Only the terminals of the chosen store. */
  var store = document.querySelector("[data-till] select[name=store]");
  var terminal = document.querySelector("[data-till] select[name=terminal]");
  function narrow() {
    var name = store.options[store.selectedIndex].text;
    terminal.querySelectorAll("optgroup").forEach(function (group) {
      var mine = group.label === name;
      group.hidden = group.disabled = !mine;
      if (!mine && group.querySelector("option:checked")) terminal.value = "";
    });
  }
  if (store && terminal) {
    store.addEventListener("change", narrow);
    narrow();
  }

  /* Camera */
  var stream = null;
  var box = document.querySelector("[data-till-video]");
  var shutter = document.querySelector("[data-till-camera]");

  function stopCamera() {
    if (stream)
      stream.getTracks().forEach(function (track) {
        track.stop();
      });
    stream = null;
    if (box) box.hidden = true;
  }

  function look(detector, video, code) {
    if (!stream) return;
    detector.detect(video).then(
      function (found) {
        var hit = found
          .map(function (one) {
            return plain(one.rawValue);
          })
          .find(walletOf);
        if (!hit) {
          setTimeout(look, 150, detector, video, code);
          return;
        }
        stopCamera();
        code.value = hit;
        hint(code);
        var amount = code.form.querySelector("[data-till-amount]");
        if (amount && !amount.value.trim()) amount.focus();
        else send(code.form);
      },
      function () {
        setTimeout(look, 400, detector, video, code);
      }
    );
  }

  if (shutter && "BarcodeDetector" in window && navigator.mediaDevices && window.isSecureContext) {
    shutter.hidden = false;
    shutter.addEventListener("click", function () {
      var note = box.querySelector("[data-till-video-note]");
      var video = box.querySelector("video");
      box.hidden = false;
      navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).then(
        function (given) {
          stream = given;
          video.srcObject = given;
          video.play();
          look(
            new window.BarcodeDetector({ formats: ["code_128", "qr_code"] }),
            video,
            shutter.form.querySelector("[data-till-code]")
          );
        },
        function () {
          note.textContent = note.dataset.denied;
        }
      );
    });
    document.querySelector("[data-till-camera-off]").addEventListener("click", stopCamera);
  }

  /* What came anew */
  function settle() {
    var wanted = document.querySelector("[data-till-focus]");
    if (wanted) wanted.focus({ preventScroll: false });
    if (root && root.querySelector("[data-till-over]")) delete root.dataset.liveEvery;
  }
  var first = document.querySelector("[data-till-focus-name]");
  if (first) {
    var field = document.querySelector("[data-till] [name=" + first.dataset.tillFocusName + "]");
    if (field) {
      field.focus();
      if (field.select) field.select();
    }
  }
  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.target === root) settle();
  });
  settle();

  setInterval(function () {
    var left = document.querySelector("[data-seconds]");
    if (!left) return;
    var seconds = Math.max(0, Number(left.dataset.seconds) - 1);
    left.dataset.seconds = String(seconds);
    left.textContent = Math.floor(seconds / 60) + ":" + ("0" + (seconds % 60)).slice(-2);
  }, 1000);
})();
