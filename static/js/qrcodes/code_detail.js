/* The preview follows the chosen language; without this script the downloaded file does. */
(function () {
  "use strict";
  const form = document.querySelector("form[data-artwork]");
  const preview = document.querySelector("img[data-preview]");
  if (!form || !preview) return;
  form.addEventListener("change", function (event) {
    if (event.target.name !== "language") return;
    const url = new URL(preview.src);
    url.searchParams.set("language", event.target.value);
    preview.src = url.href;
  });
})();
