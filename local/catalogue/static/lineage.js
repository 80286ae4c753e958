"use strict";
// Pointing at a column lights up the columns it comes from, all the way back, and those it goes to, all the way on; a
// click keeps it, a second one lets go. The address of the page may name one: ?column=total
(() => {
  const picture = document.querySelector("#lineage");
  const columns = new Map([...document.querySelectorAll(".column")].map((c) => [c.dataset.key, c]));
  const edges = [...document.querySelectorAll(".column-edge")];
  const from = new Map();
  const to = new Map();
  for (const { dataset: { start, end } } of edges) {
    from.set(end, [...(from.get(end) ?? []), start]);
    to.set(start, [...(to.get(start) ?? []), end]);
  }
  let kept = null;

  function reached(key, next) {
    const found = new Set();
    const queue = [key];
    while (queue.length) {
      const one = queue.pop();
      if (found.has(one)) continue;
      found.add(one);
      queue.push(...(next.get(one) ?? []));
    }
    return found;
  }

  function show(key) {
    const back = key ? reached(key, from) : new Set();
    const on = key ? reached(key, to) : new Set();
    const both = (set, e) => set.has(e.dataset.start) && set.has(e.dataset.end);
    picture.classList.toggle("tracing", Boolean(key));
    for (const [k, c] of columns) c.classList.toggle("hot", back.has(k) || on.has(k));
    for (const e of edges) e.classList.toggle("hot", both(back, e) || both(on, e));
  }

  for (const [key, column] of columns) {
    column.addEventListener("mouseenter", () => show(key));
    column.addEventListener("focus", () => show(key));
    column.addEventListener("mouseleave", () => show(kept));
    column.addEventListener("click", () => show((kept = kept === key ? null : key)));
  }
  show((kept = picture.dataset.column || null));
  document.querySelector("#lineage .base")?.scrollIntoView({ block: "nearest", inline: "center" });
})();
