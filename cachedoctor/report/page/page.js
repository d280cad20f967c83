"use strict";
(function () {
  const all = (query, within) => Array.from((within || document).querySelectorAll(query));
  const says = document.getElementById("says");
  const say = (words) => { says.textContent = ""; setTimeout(() => { says.textContent = words; }, 50); };
  all(".js").forEach((part) => { part.hidden = false; });

  // copying: where there is no clipboard, the old way by a selection
  const copied = (button, done) => {
    button.textContent = done ? "copied" : "press Ctrl-C";
    say(done ? "copied: " + text(button) : "the command is selected; press Ctrl-C");
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  };
  const text = (button) => button.previousElementSibling.textContent;
  const select = (button) => {
    const range = document.createRange();
    range.selectNodeContents(button.previousElementSibling);
    const chosen = getSelection();
    chosen.removeAllRanges();
    chosen.addRange(range);
    copied(button, document.execCommand("copy"));
  };
  all("button.copy").forEach((button) => button.addEventListener("click", () => {
    if (navigator.clipboard) {
      navigator.clipboard.writeText(text(button)).then(() => copied(button, true), () => select(button));
    } else {
      select(button);
    }
  }));

  // sorting: by numbers where a cell has one, else by words; the same again turns it round
  const words = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  all("table.sorts").forEach((table) => {
    const body = table.tBodies[0];
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const numbers = head.classList.contains("by-number");
        const was = head.getAttribute("aria-sort");
        const falling = was ? was === "ascending" : numbers;
        const rows = Array.from(body.rows, (row) => {
          const cell = row.cells[column];
          return [numbers ? Number(cell.dataset.n) : cell.textContent.trim(), row];
        });
        const sign = falling ? -1 : 1;
        rows.sort((a, b) => sign * (numbers ? a[0] - b[0] : words.compare(a[0], b[0])));
        const made = document.createDocumentFragment();
        rows.forEach((row) => made.append(row[1]));
        body.append(made);
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        say("sorted by " + button.textContent + (falling ? ", descending" : ", ascending"));
      });
    });
  });

  // filtering
  const table = document.querySelector("#models table");
  const search = document.getElementById("search");
  if (table && search) {
    const rows = Array.from(table.tBodies[0].rows, (row) => [row, row.textContent.toLowerCase()]);
    const chosen = all("#models select");
    const shown = document.getElementById("shown");
    const filter = () => {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0, bytes = 0;
      rows.forEach(([row, said]) => {
        const fits = wanted.every((word) => said.includes(word)) && chosen.every((one) =>
          !one.value || row.dataset[one.dataset.key].split(", ").includes(one.value));
        if (row.hidden === fits) { row.hidden = !fits; }
        if (fits) { count += 1; bytes += Number(row.dataset.bytes); }
      });
      shown.textContent = count === rows.length ? "" : count + " of " + rows.length + " shown, " + size(bytes);
    };
    const size = (bytes) => {
      const units = ["B", "KiB", "MiB", "GiB", "TiB"];
      let at = 0;
      while (bytes >= 1024 && at < 4) { bytes /= 1024; at += 1; }
      return (at ? bytes.toFixed(1) : bytes) + " " + units[at];
    };
    let waiting = 0;
    search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
    chosen.forEach((one) => one.addEventListener("change", filter));
    document.getElementById("clear").addEventListener("click", () => {
      search.value = "";
      chosen.forEach((one) => { one.value = ""; });
      filter();
      search.focus();
    });
  }

  // folding, and what is folded when it is printed or led to
  const fold = document.getElementById("fold");
  if (fold) {
    fold.addEventListener("click", () => {
      const open = fold.getAttribute("aria-pressed") !== "true";
      all("details").forEach((each) => { each.open = open; });
      fold.setAttribute("aria-pressed", String(open));
    });
  }
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => { closed.forEach((each) => { each.open = false; }); });
  const arrive = () => {
    const there = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!there) { return; }
    there.hidden = false;
    for (let each = there; each; each = each.parentElement) { if (each.tagName === "DETAILS") { each.open = true; } }
    there.scrollIntoView();
  };
  addEventListener("hashchange", arrive);
  arrive();
})();
