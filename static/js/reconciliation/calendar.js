/* The arrow keys go from day to day in [data-calendar]; Home and End to the ends of a week. */
(function () {
  "use strict";

  function linkAt(rows, row, column) {
    var cell = rows[row] && rows[row].cells[column];
    return cell ? cell.querySelector("a") : null;
  }

  function walk(rows, row, column, down, right) {
    for (;;) {
      row += down;
      column += right;
      if (column < 0 || column > 6) {
        row += right;
        column = right > 0 ? 0 : 6;
      }
      if (row < 0 || row >= rows.length) return null;
      var link = linkAt(rows, row, column);
      if (link) return link;
    }
  }

  document.addEventListener("keydown", function (event) {
    var cell = event.target.closest && event.target.closest("[data-calendar] td");
    if (!cell || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    var rows = cell.closest("tbody").rows;
    var row = cell.parentNode.sectionRowIndex;
    var column = cell.cellIndex;
    var next = null;
    if (event.key === "ArrowLeft") next = walk(rows, row, column, 0, -1);
    else if (event.key === "ArrowRight") next = walk(rows, row, column, 0, 1);
    else if (event.key === "ArrowUp") next = walk(rows, row, column, -1, 0);
    else if (event.key === "ArrowDown") next = walk(rows, row, column, 1, 0);
    else if (event.key === "Home") next = linkAt(rows, row, 0) || walk(rows, row, 0, 0, 1);
    else if (event.key === "End") next = linkAt(rows, row, 6) || walk(rows, row, 6, 0, -1);
    else return;
    event.preventDefault();
    if (next) next.focus();
  });
})();
