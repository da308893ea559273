// Sorts the table by the heading that was clicked: numbers from the largest, names from A; once more turns it round. Cells without a number stay last.
const board = document.getElementById("board");
const heads = [...board.tHead.rows[0].cells];

function sort(column) {
  const head = heads[column];
  const before = head.getAttribute("aria-sort");
  const down = before === "none" ? column > 0 : before === "ascending";
  heads.forEach(h => h.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = row => row.cells[column].dataset.value;
  const order = (a, b) => column ? Number(a) - Number(b) : a.localeCompare(b);
  const rows = [...board.tBodies[0].rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return down ? order(b, a) : order(a, b);
  });
  board.tBodies[0].append(...rows);
}

heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
document.documentElement.dataset.ready = "true";
