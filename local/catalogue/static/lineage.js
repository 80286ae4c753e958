"use strict";
// Pointing at a column lights up the columns it comes from, all the way back; a click keeps it, a second one lets go.
(() => {
  const columns = new Map([...document.querySelectorAll(".column")].map((c) => [c.dataset.key, c]));
  const edges = [...document.querySelectorAll(".column-edge")];
  let kept = null;

  function show(key) {
    const lit = new Set();
    const queue = key ? [key] : [];
    while (queue.length) {
      const next = queue.pop();
      if (lit.has(next)) continue;
      lit.add(next);
      queue.push(...(columns.get(next)?.dataset.sources ?? "").split(" ").filter(Boolean));
    }
    for (const [k, c] of columns) c.classList.toggle("hot", lit.has(k));
    for (const e of edges) e.classList.toggle("hot", lit.has(e.dataset.start) && lit.has(e.dataset.end));
  }

  for (const [key, column] of columns) {
    column.addEventListener("mouseenter", () => show(key));
    column.addEventListener("focus", () => show(key));
    column.addEventListener("mouseleave", () => show(kept));
    column.addEventListener("click", () => show((kept = kept === key ? null : key)));
  }
  document.querySelector("#lineage .base")?.scrollIntoView({ block: "nearest", inline: "center" });
})();
