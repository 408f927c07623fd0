// A box above folded tables that shows only the rows which contain what is typed.
document.addEventListener("DOMContentLoaded", () => {
  const tables = document.querySelectorAll("details.parameters");
  if (!tables.length) return;
  const box = document.createElement("input");
  box.type = "search";
  box.className = "form-control parameter-filter";
  box.placeholder = box.ariaLabel = "Find a parameter";
  tables[0].before(box);
  box.addEventListener("input", () => {
    const wanted = box.value.trim().toLowerCase();
    for (const table of tables) {
      const rows = [...table.querySelectorAll("tbody tr")];
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
      const found = rows.some((row) => !row.hidden);
      table.hidden = !found;
      table.open = wanted !== "" && found;
    }
  });
});
