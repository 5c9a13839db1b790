"use strict";
// The live page: asks for news, puts new lines on top, and holds them back while somebody reads or has paused.
(() => {
  const { $, localise, say, gone, keys, format, ENDED } = Joinlog;
  const EVERY_MS = 500; // a line is to appear within a second of its 204
  const HIDDEN_MS = 15000;
  const LOST_MS = 3000;
  const ROWS_MAX = 400;
  const HELD_ROWS_MAX = 200;
  const FRESH_MS = 2500;

  const log = $("#log");
  const body = $("#lines");
  const panel = $("#panel");
  const pulse = $("#pulse");
  const newsButton = $("#news");
  const pauseButton = $("#pause");
  const search = $("#search");

  let cursor = log.dataset.cursor;
  let panelTag = panel.dataset.tag;
  let etag = "";
  let paused = false;
  let generation = 0; // raised when the filters change: answers to earlier questions are void
  let held = { items: [], count: 0 };
  let timer = 0;
  let lateBy = 0;
  const isOlder = Boolean(log.dataset.before);

  // --- free text: behind #, so that no server and no log sees it; sent in a header ------------------------------
  const sought = () => new URLSearchParams(location.hash.slice(1)).get("q") || "";
  const headers = (more = {}) => {
    const text = sought();
    return text ? { ...more, "X-Joinlog-Search": encodeURIComponent(text) } : more;
  };
  const parameters = () => new URLSearchParams(log.dataset.query);

  // --- rows ---------------------------------------------------------------------------------------------------
  const known = () => new Set([...body.querySelectorAll("tr.line")].map((row) => row.dataset.key));
  const made = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    localise(template.content);
    return template.content;
  };
  const burstRow = (rest) => {
    const row = document.createElement("tr");
    row.className = "burst";
    row.dataset.count = rest.count;
    row.dataset.before = rest.before;
    const cell = row.insertCell();
    cell.colSpan = 6;
    const kinds = rest.kinds.map(([kind, count]) => `${count} ${kind}`).join(", ");
    const times = rest.from ? `${format("time", new Date(rest.from))}–${format("time", new Date(rest.to))}` : "";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    const sum = document.createElement("b");
    sum.textContent = `+${rest.count}`;
    button.append(sum, ` ${kinds} `, Object.assign(document.createElement("span"), { className: "soft", textContent: times }));
    button.title = "Show these lines";
    cell.append(button);
    return row;
  };
  const insert = (items) => {
    const shown = known();
    const fragment = document.createDocumentFragment();
    for (const item of items) {
      if (item.rest) fragment.append(burstRow(item.rest));
      else if (!shown.has(item.key)) {
        const row = made(item.html).firstElementChild;
        row.classList.add("fresh");
        setTimeout(() => row.classList.remove("fresh"), FRESH_MS);
        fragment.append(row);
      }
    }
    body.prepend(fragment);
    $("#empty")?.remove();
    trim();
  };
  const trim = () => {
    const rows = body.querySelectorAll("tr.line, tr.burst");
    if (rows.length <= ROWS_MAX) return;
    for (const row of [...rows].slice(ROWS_MAX)) row.remove();
    const last = [...body.querySelectorAll("tr.line")].at(-1);
    if (last) older(last.dataset.key);
  };
  const older = (key) => {
    let row = $("#older");
    if (!row) {
      row = made('<tr class="older" id="older"><td colspan="6"></td></tr>').firstElementChild;
      body.append(row);
    }
    row.dataset.next = key;
    const link = document.createElement("a");
    const asked = parameters();
    asked.append("before", key);
    link.className = "more";
    link.href = `/?${asked}${location.hash}`;
    link.textContent = "Older lines";
    row.cells[0].replaceChildren(link);
    watcher.observe(row);
  };

  // --- holding --------------------------------------------------------------------------------------------------
  const isReading = () => {
    const top = $("#lines-table").getBoundingClientRect().top;
    const focused = document.activeElement && body.contains(document.activeElement);
    return focused || (window.scrollY > 0 && top < 40) || Boolean(getSelection().toString() && body.contains(getSelection().anchorNode));
  };
  const mustHold = () => paused || isOlder || isReading();
  const hold = (items, count) => {
    held.count += count;
    if (held.many) return;
    held.items = [...items, ...held.items];
    let rows = 0;
    const kept = [];
    let dropped = 0;
    let firstDropped = null;
    const kinds = new Map();
    for (const item of held.items) {
      if (item.rest) {
        if (rows < HELD_ROWS_MAX) { kept.push(item); continue; }
        dropped += item.rest.count;
        firstDropped ??= item.rest.before;
        for (const [kind, number] of item.rest.kinds) kinds.set(kind, (kinds.get(kind) || 0) + number);
      } else if (rows < HELD_ROWS_MAX) {
        rows += 1;
        kept.push(item);
      } else {
        dropped += 1;
        firstDropped ??= `${item.key}~`;
        kinds.set("more", (kinds.get("more") || 0) + 1);
      }
    }
    if (dropped) kept.push({ rest: { count: dropped, kinds: [...kinds], before: firstDropped, from: null, to: null } });
    held.items = kept;
  };
  const flush = () => {
    if (held.many) return reload();
    if (held.items.length) insert(held.items);
    held = { items: [], count: 0 };
    tell();
  };
  const tell = () => {
    newsButton.hidden = held.count === 0 && !held.many;
    newsButton.textContent = held.many ? "↑ many new" : `↑ ${held.count} new`;
    document.title = `${held.count ? `(${held.count}) ` : ""}Live · Joinlog`;
    const state = lateBy ? "lost" : isOlder ? "older" : paused ? "paused" : isReading() ? "held" : "live";
    if (pulse.dataset.state !== state) {
      pulse.dataset.state = state;
      pulse.textContent = { lost: "no answer", older: "older lines", paused: "paused", held: "held while you read", live: "live" }[state];
    }
  };
  const goLive = () => {
    if (isOlder) return location.assign(`/?${parameters()}${location.hash}`);
    paused = false;
    pauseButton.setAttribute("aria-pressed", "false");
    pauseButton.textContent = "Pause";
    if (body.contains(document.activeElement)) document.activeElement.blur();
    getSelection().removeAllRanges();
    const top = log.getBoundingClientRect().top;
    if (top < 0 || window.scrollY > 0) window.scrollTo({ top: 0 });
    flush();
    say("Live. Newest lines on top.", true);
  };
  const togglePause = () => {
    if (paused) return goLive();
    paused = true;
    pauseButton.setAttribute("aria-pressed", "true");
    pauseButton.textContent = "Go on";
    tell();
    say("Paused. New lines are counted.", true);
  };

  // --- asking -----------------------------------------------------------------------------------------------------
  const later = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(ask, ms);
  };
  const ask = async () => {
    const asked = generation;
    const query = parameters();
    query.append("after", cursor);
    query.append("panel", panelTag);
    try {
      const answer = await fetch(`/live?${query}`, { headers: headers(etag ? { "If-None-Match": etag } : {}), cache: "no-store" });
      if (asked !== generation) return;
      if (answer.status === 401 || answer.status === 403) {
        lateBy = 1;
        gone(ENDED);
        tell();
        return later(HIDDEN_MS);
      }
      if (answer.status !== 200 && answer.status !== 304) throw new Error(String(answer.status));
      gone("");
      lateBy = 0;
      if (answer.status === 200) {
        etag = answer.headers.get("ETag") || "";
        const told = await answer.json();
        if (asked !== generation) return;
        await take(told);
      }
      tell();
      later(document.hidden ? HIDDEN_MS : EVERY_MS);
    } catch {
      if (asked !== generation) return;
      lateBy += 1;
      if (lateBy > 1) gone("The server does not answer. Trying again…");
      tell();
      later(LOST_MS);
    }
  };
  const take = async (told) => {
    cursor = told.cursor;
    if (told.panel !== null) {
      panelTag = told.panel_tag;
      const fresh = document.createElement("div");
      fresh.innerHTML = told.panel;
      localise(fresh);
      Idiomorph.morph(panel, [...fresh.childNodes], { morphStyle: "innerHTML" });
    }
    if (!told.is_whole) {
      if (!mustHold()) return reload();
      held = { items: [], count: held.count, many: true };
      return;
    }
    const items = told.lines.map(([key, html]) => ({ key, html }));
    if (told.rest) items.push({ rest: told.rest });
    if (!items.length) return;
    if (mustHold()) hold(items, told.count);
    else {
      insert(items);
      say(`${told.count} new ${told.count === 1 ? "line" : "lines"}.`);
    }
  };
  const reload = async () => {
    const asked = ++generation;
    const answer = await fetch(`/lines?${parameters()}`, { headers: headers(), cache: "no-store" });
    if (asked !== generation) return;
    if (answer.ok) {
      body.replaceChildren(made(await answer.text()));
      $("#empty")?.remove();
      const row = $("#older");
      if (row) watcher.observe(row);
    }
    held = { items: [], count: 0 };
    etag = "";
    tell();
    later(0);
  };

  // --- older lines, by scrolling or by the link; lines of a burst ------------------------------------------------------
  let fetching = false;
  const more = async (row) => {
    if (fetching || !row.dataset.next) return;
    fetching = true;
    const asked = generation;
    const query = parameters();
    query.append("before", row.dataset.next);
    try {
      const answer = await fetch(`/lines?${query}`, { headers: headers(), cache: "no-store" });
      if (!answer.ok || asked !== generation) return;
      const content = made(await answer.text());
      const shown = known();
      for (const line of content.querySelectorAll("tr.line")) if (shown.has(line.dataset.key)) line.remove();
      row.replaceWith(content);
      const next = $("#older");
      if (next && next.dataset.next) watcher.observe(next);
    } finally {
      fetching = false;
    }
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && window.scrollY > 200 && entry.target.isConnected) more(entry.target);
  }, { rootMargin: "400px" });
  const expand = async (row) => {
    const query = parameters();
    query.append("before", row.dataset.before);
    query.append("limit", row.dataset.count);
    const answer = await fetch(`/lines?${query}`, { headers: headers(), cache: "no-store" });
    if (!answer.ok) return;
    const content = made(await answer.text());
    content.querySelector("#older")?.remove();
    const shown = known();
    const lines = [...content.querySelectorAll("tr.line")];
    let left = Number(row.dataset.count);
    for (const line of lines) {
      if (left > 0 && !shown.has(line.dataset.key)) { row.before(line); left -= 1; }
    }
    if (left > 0 && lines.length) {
      row.dataset.count = left;
      row.dataset.before = lines.at(-1).dataset.key;
      row.querySelector("b").textContent = `+${left}`;
    } else row.remove();
  };

  // --- filters ----------------------------------------------------------------------------------------------------
  const filterBy = (link) => {
    const asked = parameters();
    const wanted = new URL(link.href).searchParams;
    for (const [name, value] of wanted) {
      const values = asked.getAll(name);
      asked.delete(name);
      const next = values.includes(value) && link.classList.contains("on") ? values.filter((one) => one !== value) : [...new Set([...values, value])];
      for (const one of next) asked.append(name, one);
    }
    location.assign(`/?${asked}${location.hash}`);
  };
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const link = event.target.closest("a[data-filter]");
    const burst = event.target.closest("tr.burst button");
    const next = event.target.closest("#older a");
    if (link && log.contains(link)) {
      event.preventDefault();
      filterBy(link);
    } else if (burst) expand(burst.closest("tr"));
    else if (next) {
      event.preventDefault();
      more(next.closest("tr"));
    }
  });
  for (const link of document.querySelectorAll(".filters a.chip.on[data-name], .filters a.clear")) {
    if (!link.classList.contains("clear")) link.href += location.hash;
  }

  let typing = 0;
  const seek = () => {
    const text = search.value.trim();
    if (text === sought()) return;
    history.replaceState(null, "", `${location.pathname}${location.search}${text ? `#${new URLSearchParams({ q: text })}` : ""}`);
    sync();
  };
  const sync = () => {
    const text = sought();
    $('#exports input[name="q"]').value = text;
    if (document.activeElement !== search) search.value = text;
    log.classList.toggle("searching", Boolean(text));
    clearTimeout(timer);
    reload();
  };
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(seek, 250);
  });
  $("#search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    seek();
  });
  window.addEventListener("hashchange", sync);

  // --- beginning ----------------------------------------------------------------------------------------------------
  newsButton.addEventListener("click", goLive);
  pauseButton.addEventListener("click", togglePause);
  keys.set("p", togglePause);
  keys.set("gl", goLive);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) later(0); });
  let frame = 0;
  window.addEventListener("scroll", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      if (!mustHold() && (held.count || held.many)) flush();
      else tell();
    });
  }, { passive: true });
  document.addEventListener("focusout", () => setTimeout(() => {
    if (!mustHold() && (held.count || held.many)) flush();
    else tell();
  }));
  document.addEventListener("focusin", tell);
  const first = $("#older");
  if (first && first.dataset.next) watcher.observe(first);
  if (sought() && !isOlder) { search.value = sought(); sync(); } else later(EVERY_MS);
})();
