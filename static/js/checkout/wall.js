/* The display on the wall: asks every two seconds whether it would look different. [data-wall=address] holds one part with
   data-mark; [data-paid] are the payments shown, and one that was not there before is flashed in [data-wall-flash].
   [data-wall-lost] shows while nothing can be reached. */
(function () {
  "use strict";
  var root = document.getElementById("wall");
  var flash = document.querySelector("[data-wall-flash]");
  var lost = document.querySelector("[data-wall-lost]");
  var EVERY = 2000;
  var hiding = 0;

  function ids() {
    return Array.prototype.map.call(root.querySelectorAll("[data-paid]"), function (row) {
      return row.dataset.paid;
    });
  }

  function light(row) {
    flash.querySelector("[data-wall-flash-amount]").textContent = row.querySelector(".wall-masked").textContent;
    flash.hidden = false;
    clearTimeout(hiding);
    hiding = setTimeout(function () {
      flash.hidden = true;
    }, 5000);
  }

  function show(html) {
    var known = ids();
    root.innerHTML = html;
    var fresh = Array.prototype.find.call(root.querySelectorAll("[data-paid]"), function (row) {
      return known.indexOf(row.dataset.paid) < 0;
    });
    if (fresh) light(fresh);
  }

  function ask() {
    var mark = root.querySelector("[data-mark]").dataset.mark;
    fetch(root.dataset.wall + "?mark=" + encodeURIComponent(mark), { headers: { "HX-Request": "true" } })
      .then(function (response) {
        if (response.status === 404) {
          /* Switched off: the page says so. */
          window.location.reload();
          return "";
        }
        if (!response.ok) throw new Error(String(response.status));
        lost.hidden = true;
        return response.status === 204 ? "" : response.text();
      })
      .then(function (html) {
        if (html) show(html);
      })
      .catch(function () {
        lost.hidden = false;
      })
      .then(function () {
        setTimeout(ask, EVERY);
      });
  }

  setTimeout(ask, EVERY);
})();
