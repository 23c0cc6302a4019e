/* Draws the bars of the day from #hours-data, again after each live refresh and each change of the theme. */
(function () {
  "use strict";
  var chart = null;

  function yuan(fen) {
    return "¥" + (fen / 100).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  }

  function colour(name) {
    /* light-dark() is resolved by the browser only on a real property. */
    var probe = document.createElement("span");
    probe.className = "chart-probe chart-" + name;
    document.body.append(probe);
    var value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  }

  function draw() {
    /* No id: htmx would copy the old canvas's style attribute onto the new one, which the policy forbids. */
    var canvas = document.querySelector("[data-hours-chart]");
    var source = document.getElementById("hours-data");
    if (chart) {
      chart.destroy();
      chart = null;
    }
    if (!canvas || !source || !window.Chart) return;
    var data = JSON.parse(source.textContent);
    var text = colour("text");
    var font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
    chart = new window.Chart(canvas, {
      type: "bar",
      data: {
        labels: data.labels,
        datasets: [
          { label: data.names[0], data: data.today, backgroundColor: colour("today"), borderRadius: 3 },
          { label: data.names[1], data: data.before, backgroundColor: colour("before"), borderRadius: 3 },
        ],
      },
      options: {
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        scales: {
          x: { grid: { display: false }, ticks: { color: text, font: font, maxRotation: 0 }, border: { color: colour("line") } },
          y: {
            beginAtZero: true,
            border: { display: false },
            grid: { color: colour("line") },
            ticks: {
              color: text,
              font: font,
              maxTicksLimit: 6,
              callback: function (value) {
                return "¥" + (value / 100).toLocaleString("en-US");
              },
            },
          },
        },
        plugins: {
          legend: { position: "bottom", labels: { color: text, font: font, boxWidth: 12, boxHeight: 12 } },
          tooltip: {
            callbacks: {
              label: function (item) {
                return item.dataset.label + " " + yuan(item.parsed.y);
              },
            },
          },
        },
      },
    });
  }

  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.target.id === "today") draw();
  });
  new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
  draw();
})();
