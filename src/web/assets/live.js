"use strict";
// Keeps a page as the stores are. Events only say which label changed; what it is now is read from the server,
// so that a lost event or a slow browser can never leave something wrong for long.
(() => {
  const TICK_MS = 300; // at most a few reads per second and kind
  const CARDS_PER_TICK = 20; // a wave over a store is taken in over some seconds
  const LOOK_ANYWAY_MS = 10000; // silence makes labels offline, and no event tells of that
  const RECONNECT_MS = 3000;
  const AFTER_PRESS_MS = 100; // a touch's click comes a little after the finger went up
  const LONGEST_PRESS_MS = 10000; // a menu or a drag can take a press's end away

  const chinese = document.documentElement.lang.startsWith("zh");
  const live = document.getElementById("live");
  const sections = [...document.querySelectorAll("section[data-store]")];
  const WHOLE = "section.label, section.live"; // pages that are read again as a whole
  const page = document.querySelector(WHOLE);
  const now = Number(document.body.dataset.now);
  const clockAhead = now ? Date.now() - now : 0;
  if (sections.length === 0) return;

  const changed = new Map(); // store → labels whose cards are to be read
  const summaries = new Set(); // stores whose summary is to be read
  let pageChanged = false;
  let busy = false;

  // Nothing is replaced under a finger that is down: what it went down on must still be there when it goes up, or the
  // press does nothing.
  let released = Promise.resolve();
  let release = () => {};
  addEventListener("pointerdown", () => {
    released = new Promise((resolve) => (release = resolve));
    setTimeout(release, LONGEST_PRESS_MS);
  });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(release, AFTER_PRESS_MS));

  // What the server says now, for the caller to put in its place before anything else happens.
  const read = async (path) => {
    const answer = await fetch(path, { cache: "no-store" });
    if (answer.status === 404) return null;
    if (answer.status === 401) location.reload(); // the session has ended: the login page comes
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    const holder = document.createElement("template");
    holder.innerHTML = await answer.text();
    await released;
    return holder.content;
  };

  const section = (store) => sections.find((one) => one.dataset.store === store);

  // The search form narrows what is on the page as it is typed; its button asks the server for the rest.
  const narrow = (one) => {
    const form = one.querySelector("form.search");
    if (!form) return;
    const text = form.elements.q.value.trim().toLowerCase();
    const health = form.elements.health.value;
    let shown = 0;
    for (const card of one.querySelectorAll(".card")) {
      const fits = (!health || card.dataset.health === health) && card.textContent.toLowerCase().includes(text);
      card.hidden = !fits;
      if (fits) shown += 1;
    }
    one.querySelector(".none").hidden = shown > 0;
  };

  const readCard = async (store, label) => {
    const one = section(store);
    const old = document.getElementById(`label-${label}`);
    if (!one || page || (!old && !("whole" in one.dataset))) return;
    const card = (await read(`/stores/${store}/labels/${label}/card`))?.firstElementChild ?? null;
    if (!card) {
      old?.remove();
    } else if (old) {
      // The same picture is not loaded again: an image that flickers looks like a change.
      const [before, after] = [old.querySelector("img"), card.querySelector("img")];
      if (before && after && before.getAttribute("src") === after.getAttribute("src")) after.replaceWith(before);
      const focused = document.activeElement === old;
      old.replaceWith(card);
      if (focused) card.focus();
    } else if (card.dataset.health !== "unbound") {
      const cards = one.querySelector(".cards");
      const next = [...cards.children].find((other) => other.dataset.label > label);
      cards.insertBefore(card, next ?? null);
    }
    narrow(one);
  };

  // A button that decides something or tells a label to do something: what follows is seen in what is read again.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-post], button[data-delete]");
    if (!button) return;
    button.parentElement.querySelectorAll("button").forEach((other) => (other.disabled = true));
    const [method, path] = button.dataset.post ? ["POST", button.dataset.post] : ["DELETE", button.dataset.delete];
    const headers = { "Content-Type": "application/json" };
    await fetch(path, { method, headers, body: button.dataset.body }).catch(() => {});
    if (page) return readPage().catch(() => {});
    await readSummary(button.closest("section[data-store]").dataset.store).catch(() => {});
  });

  const readSummary = async (store) => {
    const place = section(store)?.querySelector("div.summary");
    if (!place) return;
    const summary = await read(place.dataset.read ?? `/stores/${store}/summary`);
    if (!summary) return;
    const open = place.querySelector("details")?.open;
    const inside = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    place.replaceChildren(summary);
    if (open) place.querySelector("details")?.setAttribute("open", "");
    if (inside) [...place.querySelectorAll("a")].find((link) => link.getAttribute("href") === inside)?.focus();
  };

  const readPage = async () => {
    const whole = await read(location.href);
    const fresh = whole?.querySelector(WHOLE);
    if (!fresh) return location.reload();
    const old = document.querySelector(WHOLE);
    for (const image of fresh.querySelectorAll("img")) {
      const same = [...old.querySelectorAll("img")].find((one) => one.getAttribute("src") === image.getAttribute("src"));
      if (same) image.replaceWith(same);
    }
    old.replaceWith(fresh);
  };

  const tick = async () => {
    if (busy) return;
    busy = true;
    try {
      const reads = [];
      for (const [store, labels] of changed) {
        for (const label of [...labels].slice(0, CARDS_PER_TICK)) {
          labels.delete(label);
          reads.push(readCard(store, label));
        }
      }
      for (const store of [...summaries]) {
        summaries.delete(store);
        reads.push(readSummary(store));
      }
      if (pageChanged) {
        pageChanged = false;
        reads.push(readPage());
      }
      await Promise.all(reads);
    } catch (error) {
      console.warn(error);
    } finally {
      busy = false;
    }
  };

  const note = ({ store, label }) => {
    if (page) {
      pageChanged ||= (page.dataset.label ?? label) === label && page.dataset.store === store;
      return;
    }
    if (!changed.has(store)) changed.set(store, new Set());
    changed.get(store).add(label);
    summaries.add(store);
  };

  const say = (text, state) => {
    if (live.dataset.state !== state) [live.textContent, live.dataset.state] = [text, state];
  };

  let lost = false;
  const listen = () => {
    const store = sections.length === 1 ? `?store=${sections[0].dataset.store}` : "";
    const events = new EventSource(`/v1/events${store}`);
    events.addEventListener("open", () => {
      if (lost) location.reload(); // what happened meanwhile is not told again
      say(chinese ? "实时" : "Live", "live");
    });
    events.addEventListener("label", (event) => note(JSON.parse(event.data)));
    for (const kind of ["store", "alert", "approval"]) {
      events.addEventListener(kind, (event) => summaries.add(JSON.parse(event.data).store));
    }
    events.addEventListener("resync", () => location.reload());
    events.addEventListener("error", () => {
      lost = true;
      say(chinese ? "连接中断，正在重试" : "Connection lost, trying again", "lost");
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, RECONNECT_MS);
    });
    addEventListener("pagehide", () => events.close());
  };

  const count = (milliseconds) => {
    const seconds = Math.max(0, Math.floor(milliseconds / 1000));
    if (seconds < 60) return `${seconds} ${chinese ? "秒" : "s"}`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} ${chinese ? "分钟" : "min"}`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} ${chinese ? "小时" : "h"}`;
    return `${Math.floor(seconds / 86400)} ${chinese ? "天" : "days"}`;
  };

  setInterval(() => {
    for (const span of document.querySelectorAll("[data-since]")) {
      const text = count(Date.now() - clockAhead - Number(span.dataset.since));
      if (span.textContent !== text) span.textContent = text;
    }
  }, 1000);
  setInterval(tick, TICK_MS);
  setInterval(() => {
    for (const one of sections) summaries.add(one.dataset.store);
    pageChanged ||= Boolean(page);
  }, LOOK_ANYWAY_MS);
  for (const one of sections) {
    one.querySelector("form.search")?.addEventListener("input", () => narrow(one));
  }
  listen();
})();
