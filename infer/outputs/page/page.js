"use strict";
// Everything that comes from the data goes into the page as text or as a picture's address, never as markup.
(() => {
  const element = (id) => document.getElementById(id);
  const facts = JSON.parse(element("facts").textContent);
  const rows = JSON.parse(element("rows").textContent);
  const at = Object.fromEntries(facts.columns.map((name, index) => [name, index]));
  const PICTURES = facts.columns.length, OVERLAYS = PICTURES + 1;

  const probabilities = facts.classes.map((name) => ["prob_" + name, name]);
  // Key in the data, heading, kind of cell, and the direction that a first press sorts in.
  const COLUMNS = [
    ["path", "File", nameCell, 1],
    ["status", "Status", statusCell, 1],
    ["label", "Label", textCell, 1],
    ...probabilities.map(([key, name]) => [key, name + " %", percentCell, -1]),
    ["ood_score", "Unlikeness", scoreCell, -1],
    ["reason", "Reason", reasonCell, 1],
  ];
  const collator = new Intl.Collator("en", { numeric: true });
  // Why there is no label or an uncertain one, and that no lungs were found.
  const [noLungs, noLungsNotice] = facts.without_lungs;
  const judgedWhole = (row) => row[at.status] === "ok" && row[at.lungs] === noLungs;
  const remarks = (row) => [row[at.reason], judgedWhole(row) ? noLungsNotice : ""].filter(Boolean);
  const haystacks = rows.map((row) => [row[at.path], ...remarks(row)].join("\n").toLowerCase());

  let shown = rows.map((_, index) => index); // the rows that pass the filters, as they are sorted
  let sortKey = null, direction = 1, page = 0;

  // ---- the table ----

  function make(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const percent = (value) => (100 * value).toFixed(1);
  const score = (value) => value.toFixed(3);
  const url = (row, kind) => facts.pictures + "/" + row[PICTURES] + facts.suffixes[kind];

  // The roles are those that the elements have: a browser takes them away where a row is shown as a card.
  function makeCell(className, text, tag = "td", role = "cell") {
    const cell = make(tag, className, text);
    cell.setAttribute("role", role);
    return cell;
  }
  function figureCell(value, written, title) {
    const cell = makeCell("number", value === null ? "" : written(value));
    cell.dataset.title = title;
    return cell;
  }
  function textCell(row, key) { return makeCell("", row[at[key]]); }
  function reasonCell(row) { return makeCell("reason", remarks(row).join(". ")); }
  function percentCell(row, key, title) { return figureCell(row[at[key]], percent, title); }
  function scoreCell(row, key, title) { return figureCell(row[at[key]], score, title); }
  function statusCell(row) {
    const cell = makeCell();
    cell.append(make("span", "status " + row[at.status], row[at.status]));
    return cell;
  }
  function nameCell(row) {
    const cell = makeCell("", undefined, "th", "rowheader");
    cell.scope = "row";
    cell.append(make("bdi", "name", row[at.path]));
    return cell;
  }
  function pictureCell(row, index) {
    const cell = makeCell();
    if (row[PICTURES] === null) {
      cell.append(make("span", "none", "no picture"));
      return cell;
    }
    const button = make("button", "thumbnail"), picture = make("img");
    button.type = "button";
    button.dataset.row = index;
    button.setAttribute("aria-label", "Enlarge " + row[at.path]);
    button.addEventListener("click", () => openViewer(index));
    picture.loading = "lazy";
    picture.alt = "";
    picture.addEventListener("error", () => picture.replaceWith(make("span", "none", "picture is missing")));
    picture.src = url(row, "thumbnail");
    button.append(picture);
    cell.append(button);
    return cell;
  }

  function drawHeads() {
    const first = makeCell("", undefined, "th", "columnheader");
    first.scope = "col";
    first.append(make("span", "", "Picture"));
    const heads = COLUMNS.map(([key, title, cell, firstDirection]) => {
      const figures = cell === percentCell || cell === scoreCell;
      const head = makeCell(figures ? "number" : "", undefined, "th", "columnheader");
      const button = make("button", "", title);
      head.scope = "col";
      head.dataset.key = key;
      button.type = "button";
      button.addEventListener("click", () => {
        if (sortKey !== key) [sortKey, direction] = [key, firstDirection];
        else if (direction === firstDirection) direction = -direction;
        else sortKey = null;
        update();
      });
      head.append(button);
      return head;
    });
    element("heads").append(first, ...heads);
  }

  const pages = () => Math.max(1, Math.ceil(shown.length / facts.rows_a_page));
  const number = (value) => value.toLocaleString("en");

  function setDisabled(id, disabled) {
    // Not the attribute: a button that loses the keyboard's focus loses the reader's place.
    element(id).setAttribute("aria-disabled", String(disabled));
  }

  function draw() {
    page = Math.min(Math.max(page, 0), pages() - 1);
    const start = page * facts.rows_a_page;
    const here = shown.slice(start, start + facts.rows_a_page);
    element("body").replaceChildren(...here.map((index) => {
      const line = make("tr"), row = rows[index];
      line.setAttribute("role", "row");
      line.append(pictureCell(row, index), ...COLUMNS.map(([key, title, cell]) => cell(row, key, title)));
      return line;
    }));
    const all = rows.length === shown.length ? "" : " (of " + number(rows.length) + " without filters)";
    element("shown").textContent = shown.length
      ? "Rows " + number(start + 1) + " to " + number(start + here.length) + " of " + number(shown.length) + all
      : "No row fits these filters" + all;
    element("place").textContent = "Page " + number(page + 1) + " of " + number(pages());
    setDisabled("first", page === 0);
    setDisabled("previous", page === 0);
    setDisabled("next", page === pages() - 1);
    setDisabled("last", page === pages() - 1);
    for (const head of element("heads").querySelectorAll("[data-key]")) {
      if (head.dataset.key === sortKey) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
  }

  function compared(a, b) {
    const x = rows[a][at[sortKey]], y = rows[b][at[sortKey]];
    const emptyX = x === null || x === "", emptyY = y === null || y === "";
    if (emptyX || emptyY) return emptyX - emptyY || a - b; // last, whatever the direction
    const order = typeof x === "number" ? x - y : collator.compare(x, y);
    return direction * order || a - b;
  }

  function passes() {
    const text = element("by-text").value.trim().toLowerCase();
    const status = element("by-status").value, label = element("by-label").value;
    const chance = at[element("by-class").value];
    const bound = (id, none) => (element(id).value === "" ? none : element(id).valueAsNumber / 100);
    const low = bound("by-low", null), high = bound("by-high", null);
    const bounded = low !== null || high !== null;
    return (index) => {
      const row = rows[index];
      if (status && row[at.status] !== status) return false;
      if (label && row[at.label] !== label) return false;
      if (text && !haystacks[index].includes(text)) return false;
      if (!bounded) return true;
      const value = row[chance];
      return value !== null && (low === null || value >= low) && (high === null || value <= high);
    };
  }

  function update() {
    shown = rows.map((_, index) => index).filter(passes());
    if (sortKey) shown.sort(compared);
    page = 0;
    draw();
  }

  function goTo(wanted) {
    if (wanted < 0 || wanted >= pages() || wanted === page) return;
    page = wanted;
    draw();
  }

  // ---- the viewer ----

  const viewer = element("viewer");
  let current = null; // the row that is shown
  let kind = null; // the heat map that is shown, where there are several

  const withPicture = () => shown.filter((index) => rows[index][PICTURES] !== null);

  function openViewer(index) {
    show(index);
    viewer.showModal();
    element("viewer-next").focus(); // autofocus would be taken for the whole page's
  }

  function show(index) {
    current = index;
    const row = rows[index], among = withPicture(), place = among.indexOf(index);
    element("viewer-title").replaceChildren(make("bdi", "name", row[at.path]));
    const judged = row[at.status] === "ok";
    element("viewer-answer").textContent = judged ? answer(row) : row[at.status] + ": " + row[at.reason];
    setPicture("original", url(row, "view"), "The image " + row[at.path]);
    element("map").hidden = !judged; // what was not judged has no heat map
    if (judged) showMaps(row);
    element("viewer-place").textContent = "Image " + number(place + 1) + " of " + number(among.length);
    setDisabled("viewer-previous", place <= 0);
    setDisabled("viewer-next", place >= among.length - 1);
  }

  function answer(row) {
    const parts = ["Label: " + row[at.label]];
    parts.push("Probabilities: " + probabilities.map(([key, name]) => name + " " + percent(row[at[key]]) + " %").join(", "));
    if (row[at.ood_score] !== null) parts.push("Unlikeness: " + score(row[at.ood_score]));
    if (row[at.reason]) parts.push("Reason: " + row[at.reason]);
    if (row[at.lungs] === noLungs) parts.push(noLungsNotice);
    return parts.join(". ");
  }

  function showMaps(row) {
    const overlays = row[OVERLAYS] || { predicted: url(row, "overlay") };
    const kinds = Object.keys(overlays);
    if (!kinds.includes(kind)) kind = kinds.includes(row[at.raw_label]) ? row[at.raw_label] : kinds[0];
    element("kinds").replaceChildren(...(kinds.length < 2 ? [] : kinds.map((one) => {
      const button = make("button", "", one);
      button.type = "button";
      button.dataset.kind = one;
      button.addEventListener("click", () => { kind = one; showOverlay(row, overlays); });
      return button;
    })));
    showOverlay(row, overlays);
  }

  function setPicture(id, source, alternative) {
    const picture = element(id);
    picture.removeAttribute("src"); // not the picture before under this one's name while it loads
    picture.alt = alternative;
    picture.src = source;
  }

  function showOverlay(row, overlays) {
    const of = kind === "predicted" ? row[at.raw_label] : kind;
    setPicture("overlay", overlays[kind], "The same with a heat map of '" + of + "'. " + facts.heatmap_notice);
    element("overlay-caption").textContent = "Heat map: what moved the score of '" + of + "'.";
    for (const button of element("kinds").children) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
  }

  function step(by) {
    const among = withPicture(), wanted = among.indexOf(current) + by;
    if (wanted >= 0 && wanted < among.length) show(among[wanted]);
  }

  // The focus goes to the image that was shown last, on its page of the table.
  function closed() {
    goTo(Math.floor(shown.indexOf(current) / facts.rows_a_page));
    const button = element("body").querySelector('[data-row="' + current + '"]');
    if (button) button.focus();
  }

  // ---- what a reader does ----

  drawHeads();
  for (const name of [...facts.classes, "uncertain"]) element("by-label").append(new Option(name, name));
  for (const [key, name] of probabilities) element("by-class").append(new Option(name, key));
  element("filters").addEventListener("submit", (event) => event.preventDefault());
  element("filters").addEventListener("input", update);
  element("filters").addEventListener("reset", () => setTimeout(update)); // when the fields are empty
  element("first").addEventListener("click", () => goTo(0));
  element("previous").addEventListener("click", () => goTo(page - 1));
  element("next").addEventListener("click", () => goTo(page + 1));
  element("last").addEventListener("click", () => goTo(pages() - 1));
  for (const button of document.querySelectorAll("[data-status]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      element("filters").reset();
      element("by-status").value = button.dataset.status;
      setTimeout(update);
      element("images").focus();
    });
  }
  element("viewer-previous").addEventListener("click", () => step(-1));
  element("viewer-next").addEventListener("click", () => step(1));
  element("viewer-close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("close", closed);
  viewer.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    step(by);
  });
  element("table").hidden = false;
  draw();
})();
