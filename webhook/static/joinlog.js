"use strict";
// What every page shares: times in the reader's zone, keys, fragments that refresh, copying.
const Joinlog = (() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const HIDDEN_SLOWER = 15;

  // --- times -----------------------------------------------------------------------------------------------
  const formats = {
    time: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    short: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    day: { weekday: "short", day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    full: { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    dated: { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  };
  const made = new Map();
  const format = (style, at) => {
    if (!made.has(style)) made.set(style, new Intl.DateTimeFormat("en-GB", formats[style]));
    return made.get(style).format(at).replace(/,/g, "");
  };
  const localise = (root) => {
    for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const at = new Date(element.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      let style = element.dataset.style || "full";
      if (style === "time" && Math.abs(Date.now() - at) > 86400000) style = "dated";
      let text = format(style, at);
      if ((style === "day" || style === "full") && at.getFullYear() !== new Date().getFullYear()) text += ` ${at.getFullYear()}`;
      element.textContent = text;
      element.dataset.local = "";
    }
  };
  const inUtc = new Date().getTimezoneOffset() === 0;
  document.documentElement.classList.toggle("in-utc", inUtc);

  // --- saying things to screen readers, no more often than every few seconds -----------------------------------
  let lastSaid = 0;
  let toSay = "";
  const say = (text, now = false) => {
    toSay = text;
    const wait = now ? 0 : Math.max(0, lastSaid + 10000 - Date.now());
    setTimeout(() => {
      if (!toSay) return;
      lastSaid = Date.now();
      $("#said").textContent = toSay;
      toSay = "";
    }, wait);
  };

  const gone = (text) => {
    const element = $("#gone");
    if (element.textContent !== text) element.textContent = text;
    element.hidden = !text;
  };
  const ENDED = "Your link has ended. Reload the page to see how to get a new one.";

  // --- fragments that refresh: an element with data-every asks again, faster when somebody looks ----------------
  const isBusy = (part) => {
    for (const field of part.querySelectorAll("input:not([type=hidden]), textarea, select")) {
      if (field === document.activeElement || (field.defaultValue !== undefined && field.value !== field.defaultValue)) return true;
    }
    return false;
  };
  const refresh = (part) => {
    const every = Number(part.dataset.every) * (document.hidden ? HIDDEN_SLOWER : 1);
    setTimeout(() => {
      if (!isBusy(part)) htmx.trigger(part, "refresh");
      refresh(part);
    }, every);
  };
  document.addEventListener("htmx:configRequest", (event) => {
    const part = event.detail.elt;
    if (part.dataset.tag) event.detail.headers["If-None-Match"] = `"${part.dataset.tag}"`;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, elt } = event.detail;
    if (xhr.status === 304) event.detail.shouldSwap = false;
    else if (xhr.status === 401) gone(ENDED);
    else if (xhr.status === 200) {
      gone("");
      const tag = xhr.getResponseHeader("ETag");
      if (tag && elt.dataset.every) elt.dataset.tag = tag.replaceAll('"', "");
    }
  });
  document.addEventListener("htmx:sendError", () => gone("The server does not answer. Trying again…"));
  document.addEventListener("htmx:afterSwap", (event) => {
    event.detail.elt.dispatchEvent(new CustomEvent("joinlog:swapped", { bubbles: true }));
  });
  if (window.Idiomorph) {
    Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) => !(old.id === "curve");
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");
  }

  // --- keys ------------------------------------------------------------------------------------------------
  const keys = new Map();
  let before = "";
  const rows = () => [...document.querySelectorAll("tr.line, tr.row")].filter((row) => row.offsetParent !== null);
  const move = (step) => {
    const all = rows();
    const chosen = all.indexOf(document.activeElement && document.activeElement.closest("tr.line, tr.row"));
    const next = all[chosen === -1 ? 0 : Math.min(all.length - 1, Math.max(0, chosen + step))];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  const open = () => {
    const row = document.activeElement && document.activeElement.closest("[data-open]");
    if (row && row.dataset.open) location.assign(row.dataset.open);
  };
  const help = () => {
    const dialog = $("#help");
    if (!dialog.open) dialog.showModal();
  };
  keys.set("j", () => move(1));
  keys.set("k", () => move(-1));
  keys.set("o", open);
  keys.set("?", help);
  keys.set("/", () => {
    const field = $("#search");
    if (field) { field.focus(); field.select(); } else location.assign("/#search");
  });
  keys.set("gl", () => location.assign("/"));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (typing) {
      if (event.key === "Escape") typing.blur();
      return;
    }
    const act = keys.get(before + event.key) || keys.get(event.key);
    before = event.key === "g" ? "g" : "";
    if (act) {
      event.preventDefault();
      act();
    }
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    const items = [...source.querySelectorAll("li")].map((item) => ($("code", item) || item).textContent.trim());
    const text = items.length ? items.join("\n") : source.textContent.trim();
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = "Press Ctrl+C";
    }
  });

  // --- an address that a posted search left out ----------------------------------------------------------------
  const addressed = $("[data-address]");
  if (addressed && location.pathname + location.search !== addressed.dataset.address) {
    history.replaceState(null, "", addressed.dataset.address + location.hash);
  }

  // --- beginning -------------------------------------------------------------------------------------------
  localise(document);
  new MutationObserver((changes) => {
    for (const change of changes) {
      for (const node of change.addedNodes) if (node.nodeType === 1) localise(node.parentNode || document);
      if (change.type === "characterData" || change.type === "attributes") localise(document);
    }
  }).observe(document.body, { childList: true, subtree: true });
  const helpOpen = $("#help-open");
  if (helpOpen) helpOpen.addEventListener("click", help);
  for (const part of document.querySelectorAll("[data-every]")) refresh(part);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) for (const part of document.querySelectorAll("[data-every]")) if (!isBusy(part)) htmx.trigger(part, "refresh");
  });
  return { $, localise, say, gone, keys, format, ENDED };
})();
