/* The connect form: the list of stores shows only while "only these stores" is chosen; a key file may be dropped on its field. */
(function () {
  "use strict";
  var box = document.querySelector("[data-chosen-stores]");
  var radios = document.querySelectorAll('input[name="serves"]');
  function follow() {
    var chosen = document.querySelector('input[name="serves"]:checked');
    box.hidden = !chosen || chosen.value !== "chosen";
  }
  if (box && radios.length) {
    radios.forEach(function (radio) {
      radio.addEventListener("change", follow);
    });
    follow();
  }

  /* A key has a few kilobytes; anything larger is not one. */
  document.querySelectorAll("textarea.key-input").forEach(function (area) {
    area.addEventListener("dragover", function (event) {
      event.preventDefault();
    });
    area.addEventListener("drop", function (event) {
      var file = event.dataTransfer && event.dataTransfer.files[0];
      if (!file) return;
      event.preventDefault();
      if (file.size > 20000) return;
      file.arrayBuffer().then(function (buffer) {
        var bytes = Array.from(new Uint8Array(buffer));
        var raw = String.fromCharCode.apply(null, bytes);
        /* A .pfx is no text: it goes in as base64. */
        var binary = raw.indexOf("-----BEGIN") < 0 && bytes.some(function (byte) {
          return byte > 127;
        });
        area.value = binary ? btoa(raw) : new TextDecoder().decode(buffer).trim();
        area.dispatchEvent(new Event("input", { bubbles: true }));
      });
    });
  });
})();
